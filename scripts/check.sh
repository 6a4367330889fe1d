#!/bin/sh
# Everything a machine can say without running the product. Stops at the first complaint; each step says its name.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export DJANGO_SETTINGS_MODULE=config.settings_test COUNTERSIGN_HOME="${COUNTERSIGN_HOME:-var/check}"

step() {
    echo "check: $1"
    shift
    "$@"
}
quiet() {
    echo "check: $1"
    shift
    output="$("$@" 2>&1)" || { echo "$output" >&2; exit 1; }
}
templates() { find templates interfaces -name '*.html' -type f; }

step "format" ruff format --quiet --check .
step "lint" ruff check --quiet .
if [ -n "$(templates)" ]; then
    # shellcheck disable=SC2046
    step "templates" djade --check --target-version 5.2 $(templates)
fi
quiet "layers" lint-imports --no-cache --no-logo
step "types" mypy --no-error-summary config core artifacts tracking registry webhooks governance workflows interfaces scripts
quiet "migrations" python manage.py makemigrations --check --dry-run --verbosity 0
quiet "settings and models" python manage.py check --fail-level WARNING
step "Dockerfile" hadolint Dockerfile
quiet "docker-compose.yml" check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
step "YAML" python -m scripts.parse_yaml
