#!/bin/sh
# Print the Python of a client's own environment, made from requirements/clients/NAME.txt the first time: sh scripts/client.sh mlflow-3
# It is kept in the user's cache under the digest of its lock, so that every checkout and every home finds it there.
set -eu
cd "$(dirname "$0")/.."

lock="requirements/clients/$1.txt"
base="$(.venv/bin/python -c 'import sys; print(sys._base_executable)')"
digest="$({ cat "$lock"; "$base" --version; } | sha256sum | cut -c1-16)"
environments="${XDG_CACHE_HOME:-${HOME:-$PWD/var}/.cache}/countersign/clients"
environment="$environments/$1-$digest"
if [ ! -e "$environment/.complete" ]; then
    mkdir -p "$environments"
    exec 9> "$environment.lock"
    flock 9 # two runs of the tests may want it at once
    if [ ! -e "$environment/.complete" ]; then
        . scripts/installer.sh
        "$UV" venv --quiet --clear --no-project --python "$base" "$environment"
        if ! "$UV" pip sync --quiet --require-hashes --python "$environment/bin/python" "$lock"; then
            echo "client: could not install what $lock locks; the packages come from this machine's index, over the network" >&2
            exit 1
        fi
        : > "$environment/.complete"
    fi
fi
echo "$environment/bin/python"
