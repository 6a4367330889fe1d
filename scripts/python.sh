#!/bin/sh
# Print the newest Python this project runs on, 3.11 or later; fail with the way out.
set -eu
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        command -v "$name"
        exit 0
    fi
done
echo "Countersign needs Python 3.11 or later; tried: ${PYTHON:-python3.13, python3.12, python3.11, python3}." >&2
echo "Install one (Debian: apt-get install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3.12" >&2
exit 1
