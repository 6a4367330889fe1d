"""Every page, both themes, wide and narrow: no violation that axe finds, and nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from core.models import AuditEvent, User
from governance import ledger
from governance.models import MEASURED, CheckRun
from registry import commands as registry_commands
from tests.browser.looking import faults
from tests.cast import actor
from tests.interfaces.web.conftest import MODEL, Scene

pytestmark = pytest.mark.browser
Window = Callable[..., Page]
SignIn = Callable[[Page, User], None]


def pages(scene: Scene) -> Iterator[tuple[str, str]]:
    """Return who opens which page."""
    done = scene.promoted()
    review = scene.under_review(parity=0.78)
    registry_commands.create_model(actor=actor(scene.dana), name="credit.limit-advisor")
    running = scene.finish(scene.ask(scene.register("credit.limit-advisor")), leave=("fairness", "explainability"))
    ledger.sequence(whole=True)
    event = AuditEvent.objects.filter(action="promotion.executed").latest("pk").pk
    yield "", "/sign-in"
    yield "ravi", "/requests/"
    yield "ravi", "/requests/?tab=all&state="
    yield "ravi", f"/requests/{review.pk}/"
    yield "dana", f"/requests/{review.pk}/"
    yield "ravi", f"/requests/{running.pk}/"
    yield "ravi", f"/requests/{done.pk}/"
    yield "dana", "/models/"
    yield "dana", f"/models/{MODEL}/"
    yield "dana", f"/models/{MODEL}/versions/2/"
    yield "dana", f"/models/{MODEL}/versions/1/report/"
    yield "dana", f"/check-runs/{CheckRun.objects.filter(check_name='fairness', state__in=MEASURED).latest('pk').pk}/"
    yield "aude", f"/lineage/?node=model_version:{MODEL}/1&view=graph"
    yield "aude", "/lineage/"
    yield "aude", f"/audit/?open={event}"
    yield "aude", f"/audit/{event}/"
    yield "pat", "/policies/"
    yield "pat", "/policies/credit-production/"
    yield "ravi", "/no-such-page/"


def test_no_page_has_a_violation_or_scrolls_sideways(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    found: dict[str, list[str]] = {}
    windows: dict[str, Page] = {}
    for who, path in pages(scene):
        if who not in windows:
            windows[who] = opened()
            if who:
                sign_in(windows[who], getattr(scene, who))
        windows[who].goto(path)
        found |= {f"{path} for {who}, {where}": what for where, what in faults(windows[who])}
    assert found == {}


def test_faults_are_found_where_they_are(opened: Window) -> None:
    page = opened()
    page.set_content(
        "<!doctype html><html lang=en><title>A page</title><style>:root { color-scheme: light dark }"
        "p { background: light-dark(white, black); color: light-dark(black, #333) } div { width: 900px; height: 9px }</style>"
        "<main><h1>A page</h1><p>Only the dark theme hides this.</p><div></div></main>"
    )
    found = {where: what[0].partition(":")[0] for where, what in faults(page)}
    assert found == {
        **{f"{width} px": "scrolls sideways" for width in (820, 390, 360)},
        **{f"{width} px, dark": "color-contrast" for width in (1440, 390)},
    }
