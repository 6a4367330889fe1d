"""Documents as PDF: asked for by their HTML, printed by a worker, kept by digest until they are old."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from core import jobs
from core.errors import Conflict, Invalid
from workflows.models import Printout

PRINT = "workflows.print"
KEPT = timedelta(days=7)
_MOST_BYTES = 8 * 1024 * 1024
_SECONDS = 120
_PRESS = Path(__file__).with_name("press.py")  # run as a file: it needs nothing else of ours

log = logging.getLogger(__name__)


def digest_of(html: str) -> str:
    """Return the digest that a document is asked for and kept by."""
    return f"sha256:{hashlib.sha256(html.encode()).hexdigest()}"


def printed(html: str) -> bytes | None:
    """Return the PDF of a document, or None while a worker is at it; the first call asks for it.

    html: whole in itself, since nothing it refers to is fetched. Raises Invalid if it is too long, and Conflict, once, if it could not
    be printed: asking again tries again.
    """
    if len(html) > _MOST_BYTES:
        raise Invalid("The document is too long to be printed.", code="too_large")
    digest = digest_of(html)
    row = Printout.objects.filter(digest=digest).first()
    if row is not None and row.pdf is not None:
        return bytes(row.pdf)
    if row is not None and row.error:
        Printout.objects.filter(digest=digest, pdf=None).delete()
        raise Conflict(f"The document could not be printed. {row.error}", code="not_printed")
    with transaction.atomic():
        Printout.objects.get_or_create(digest=digest, defaults={"html": html})
        jobs.enqueue(PRINT, key=f"print {digest}", digest=digest)
    return None


def print_out(*, digest: str) -> None:
    """Print a document, if it still has to be."""
    row = Printout.objects.filter(digest=digest, pdf=None).first()
    if row is None:
        return
    pdf, error = _press(row.html, digest)
    if error:
        log.error("%s was not printed: %s", digest, error)
        Printout.objects.filter(digest=digest).update(error=error)
    else:
        Printout.objects.filter(digest=digest).update(pdf=pdf, html="", error="")


def tidy(older_than: timedelta = KEPT) -> int:
    """Remove what was printed this long ago; return how many. Whoever asks again has it printed again."""
    return Printout.objects.filter(asked_at__lt=timezone.now() - older_than).delete()[0]


def _press(html: str, digest: str) -> tuple[bytes, str]:
    """Return the PDF, or why there is none. A process of its own: the libraries that lay out text are native code, which may crash or hang."""
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "XDG_CACHE_HOME") if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_PRESS), digest],
            input=html.encode(),
            capture_output=True,
            timeout=_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return b"", f"It took longer than {_SECONDS} s."
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF-"):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return b"", said[-1][:500] if said else f"The press ended with status {done.returncode}."
    return done.stdout, ""
