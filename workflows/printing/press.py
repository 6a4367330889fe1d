"""The process that turns HTML on standard input into PDF on standard output. It fetches nothing, from nowhere."""

from __future__ import annotations

import resource
import sys
from typing import NoReturn

_MEMORY = 2 * 1024**3
_SECONDS = 100


class Refused(Exception):
    """The document refers to something outside itself."""


def press(html: str, identifier: str) -> bytes:
    """Return a document as tagged PDF 1.7. Equal documents and libraries give equal bytes: no clock and no chance is in it.

    Raises Refused for an address that the document wants fetched, ImportError or OSError without WeasyPrint or Pango.
    """
    from weasyprint import HTML  # an optional extra, and slow to load
    from weasyprint.urls import FatalURLFetchingError, URLFetcher

    class Nothing(URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: object = None) -> NoReturn:
            raise FatalURLFetchingError(f"the document refers to {url[:100]}")

    try:
        pdf: bytes = HTML(string=html, url_fetcher=Nothing()).write_pdf(pdf_identifier=identifier.encode(), pdf_tags=True)
    except FatalURLFetchingError as error:
        raise Refused(str(error)) from error
    return pdf


def main() -> int:
    """Print what is on standard input, within bounds of memory and time."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    try:
        pdf = press(sys.stdin.buffer.read().decode(), sys.argv[1])
    except Refused as error:
        print(f"Nothing outside a document is fetched, but {error}.", file=sys.stderr)
        return 1
    except (ImportError, OSError) as error:
        wanted = "PDF needs the extra `reports` (WeasyPrint) and the Pango library where the worker runs"
        print(f"{wanted}: {type(error).__name__} {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(pdf)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
