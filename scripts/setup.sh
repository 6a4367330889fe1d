#!/bin/sh
# Make .venv hold exactly what requirements/dev.txt says, every file checked against its hash. Nothing to do: returns at once.
set -eu
cd "$(dirname "$0")/.."

lock=requirements/dev.txt
wanted="$(cat "$lock" requirements/uv.txt | cksum)"
if [ -x .venv/bin/python ] && [ "$(cat .venv/.lock-installed 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

. scripts/installer.sh
if [ ! -x .venv/bin/python ]; then
    python="$(sh scripts/python.sh)"
    echo "setup: .venv with $("$python" --version)"
    "$python" -m venv --without-pip .venv
fi
echo "setup: installing what $lock locks (the first time takes a minute or two)"
# Compiled now, because a sandboxed check sees the environment read-only and would compile scikit-learn again at each start.
"$UV" pip sync --quiet --require-hashes --compile-bytecode --python .venv/bin/python "$lock"
echo "$wanted" > .venv/.lock-installed
echo "setup: done"
