# Sourced: sets UV to the pinned installer, put into .venv-uv the first time, and hands it what this machine tells pip.
uv_lock="$(cksum < requirements/uv.txt)"
UV=.venv-uv/bin/uv
if [ ! -x "$UV" ] || [ "$(cat .venv-uv/.lock-installed 2>/dev/null || true)" != "$uv_lock" ]; then
    python="$(sh scripts/python.sh)"
    rm -rf .venv-uv
    if ! "$python" -m venv .venv-uv; then
        echo "setup: $python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
    .venv-uv/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements/uv.txt
    echo "$uv_lock" > .venv-uv/.lock-installed
fi

# The package index, the folders of wheels and the certificates are the machine's business: uv does not read pip's configuration,
# so pass it on.
_of_pip() { .venv-uv/bin/python -m pip --disable-pip-version-check config get "$1" 2>/dev/null || true; }
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index="${PIP_INDEX_URL:-$(_of_pip global.index-url)}"
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
fi
if [ -z "${SSL_CERT_FILE:-}" ]; then
    certificates="${PIP_CERT:-$(_of_pip global.cert)}"
    if [ -n "$certificates" ]; then export SSL_CERT_FILE="$certificates"; fi
fi
if [ -z "${UV_FIND_LINKS:-}" ]; then
    wheels="${PIP_FIND_LINKS:-$(_of_pip global.find-links)}"
    if [ -n "$wheels" ]; then export UV_FIND_LINKS="$wheels"; fi
fi
