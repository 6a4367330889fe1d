"""Printing: by a worker, in a process of its own that fetches nothing, and the same each time."""

from __future__ import annotations

import ctypes.util
import os
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import pytest
from django.utils import timezone

from core.errors import Conflict, Invalid
from core.models import Job
from workflows import printing
from workflows.models import Printout
from workflows.printing import press

# A machine to develop on may lack the extra or Pango; the one that decides may not.
needs_a_press = pytest.mark.skipif(
    not os.environ.get("CI") and not (find_spec("weasyprint") and ctypes.util.find_library("pango-1.0")),
    reason="needs the extra `reports` and Pango",
)
pytestmark = pytest.mark.django_db


def printed(html: str) -> bytes | None:
    """Ask for a document, have it printed, and ask again."""
    assert printing.printed(html) is None
    printing.print_out(digest=printing.digest_of(html))
    return printing.printed(html)


@needs_a_press
def test_what_was_printed_is_given_again_and_the_same_html_gives_the_same_bytes() -> None:
    html = "<html lang=en><title>t</title><p>Åse signed.</p>"
    first = printed(html)
    assert first is not None and first.startswith(b"%PDF-")
    assert Printout.objects.get().html == "", "it is kept until it is printed"
    assert press.press(html, printing.digest_of(html)) == first, "in another process"


def test_asking_twice_is_one_job_and_printing_twice_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pressed: list[str] = []

    def pressing(html: str, digest: str) -> tuple[bytes, str]:
        pressed.append(html)
        return b"%PDF-", ""

    monkeypatch.setattr(printing, "_press", pressing)
    assert printing.printed("<p>a") is None and printing.printed("<p>a") is None
    (job,) = Job.objects.filter(name=printing.PRINT)
    printing.print_out(**job.arguments)
    printing.print_out(**job.arguments)
    assert pressed == ["<p>a"] and printing.printed("<p>a") == b"%PDF-"


@needs_a_press
@pytest.mark.parametrize(
    "wanted",
    ['<img src="file:///etc/hostname">', '<link rel=stylesheet href="http://127.0.0.1:9/x">', '<img src="data:image/png,x">'],
)
def test_nothing_outside_the_document_is_fetched(wanted: str) -> None:
    with pytest.raises(press.Refused, match=r"refers to (file|http|data):"):
        press.press(f"<html lang=en><title>t</title>{wanted}", "i")


def test_what_cannot_be_printed_is_said_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "_press", lambda html, digest: (b"", "The press is away."))
    with pytest.raises(Conflict, match="The press is away") as refused:
        printed("<p>a")
    assert refused.value.code == "not_printed"
    Job.objects.all().delete()  # as a worker that has finished it
    assert printing.printed("<p>a") is None and Job.objects.filter(name=printing.PRINT).count() == 1


def test_the_press_knows_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "s")
    seen: dict[str, Any] = {}

    def run(command: list[str], **given: Any) -> Any:
        seen.update(given)
        raise printing.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(printing.subprocess, "run", run)
    with pytest.raises(Conflict, match="longer than"):
        printed("<p>slow")
    assert set(seen["env"]) <= {"HOME", "LANG", "PATH", "XDG_CACHE_HOME"}


def test_a_document_without_end_is_refused_and_old_printouts_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid):
        printing.printed("x" * (8 * 1024 * 1024 + 1))
    now = timezone.now()
    Printout.objects.create(digest="sha256:old", html="", pdf=b"%PDF-", asked_at=now - printing.KEPT - timedelta(hours=1))
    Printout.objects.create(digest="sha256:new", html="", pdf=b"%PDF-", asked_at=now)
    assert printing.tidy() == 1 and Printout.objects.get().digest == "sha256:new"
