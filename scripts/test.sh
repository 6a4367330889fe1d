#!/bin/sh
# All tests, in as many processes as there are cores. DATABASE_URL and CELERY_BROKER_URL choose other engines than the embedded.
set -eu
cd "$(dirname "$0")/.."
home="${COUNTERSIGN_HOME:-var/test}"
export COUNTERSIGN_HOME="$home"

browser=""
for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
    if command -v "$name" >/dev/null 2>&1; then browser="$name"; fi
done
case "${BROWSER_TESTS:-auto}" in
    no) chosen="not browser" ;;
    *) if [ -n "$browser" ]; then chosen=""; else chosen="not browser"; fi ;;
esac
if [ -n "$chosen" ] && [ "${BROWSER_TESTS:-auto}" = auto ]; then
    echo "test: there is no Chromium on PATH, so the tests marked 'browser' are left out"
fi
echo "test: pytest on ${DATABASE_URL:+PostgreSQL}${DATABASE_URL:-SQLite}" | sed 's#PostgreSQL.*#PostgreSQL#'
if [ -z "$*" ]; then set -- -n auto --dist loadfile --no-loadscope-reorder; fi
exec .venv/bin/python -m pytest ${chosen:+-m "$chosen"} "$@"
