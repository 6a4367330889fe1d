"""Ask an address whether it is healthy: status 0 if it answers 200, else 1 with the reason on standard error."""

from __future__ import annotations

import sys
import urllib.request

if __name__ == "__main__":
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:  # noqa: S310
            sys.exit(0 if answer.status == 200 else f"status {answer.status}")
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
