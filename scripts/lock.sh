#!/bin/sh
# Write the lock files anew from pyproject.toml. What is locked already stays; `make lock UPGRADE=1` takes the newest of everything.
set -eu
cd "$(dirname "$0")/.."
. scripts/installer.sh

compile() {
    "$UV" pip compile --quiet --generate-hashes --no-header --no-annotate ${platform:---universal} --python-version 3.11 \
        ${UPGRADE:+--upgrade} "$@"
}
compile pyproject.toml --all-extras --group dev --output-file requirements/dev.txt
# What is deployed is what was tested: both images take their versions from the lock of the tests.
compile pyproject.toml --extra s3 --extra reports --constraint requirements/dev.txt --output-file requirements/server.txt
compile pyproject.toml --extra s3 --extra validation --constraint requirements/dev.txt --output-file requirements/worker.txt
# The clients of the journeys; the newest shares what it can with the tests, so that less has to be fetched.
for client in mlflow-3 skinny-3 onnx; do
    compile --group "client-$client" --constraint requirements/dev.txt --output-file "requirements/clients/$client.txt"
done
# For one platform, since its build of Torch is: elsewhere TORCH_PYTHON names an interpreter.
platform="--python-platform x86_64-manylinux_2_28"
compile --group client-torch-3 --constraint requirements/clients/mlflow-3.txt --output-file requirements/clients/torch-3.txt
platform=""
compile --group client-mlflow-2 --output-file requirements/clients/mlflow-2.txt
grep -o '^uv==[^ ]*' requirements/uv.txt | compile - --output-file requirements/uv.txt

if grep -nE '://|^--?(index|extra|find|trusted)' requirements/*.txt requirements/clients/*.txt; then
    echo "lock: a lock file names an address; locks hold names, versions and hashes only" >&2
    exit 1
fi
