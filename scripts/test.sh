#!/bin/sh
# All tests, in one process more than there are cores, since some wait for what they started. DATABASE_URL and CELERY_BROKER_URL
# choose other engines than the embedded. Arguments go to pytest.
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
exec .venv/bin/python -m pytest ${chosen:+-m "$chosen"} -n "$(($(nproc) + 1))" --dist loadfile --no-loadscope-reorder "$@"
