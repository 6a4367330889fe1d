"""Every page, both themes, wide and narrow: no violation that axe finds, and nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from core.models import AuditEvent, User
from governance import ledger
from governance.models import MEASURED, CheckRun
from registry import commands as registry_commands
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


def _names(answer: Any) -> list[str]:
    return [
        f"{violation['id']}: {node['html'][:160]}" for violation in answer.response["violations"] for node in violation["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_violation(scene: Scene, opened: Window, sign_in: SignIn, theme: str) -> None:
    found: dict[str, list[str]] = {}
    windows: dict[tuple[str, int], Page] = {}
    for who, path in pages(scene):
        for width in (1440, 390):
            if (who, width) not in windows:
                windows[who, width] = opened(width, 900, theme, reduced_motion="reduce")
                if who:
                    sign_in(windows[who, width], getattr(scene, who))
            page = windows[who, width]
            page.goto(path)
            if names := _names(Axe().run(page)):
                found[f"{path} for {who}, {width} px"] = names
    assert found == {}


def test_no_page_scrolls_sideways_on_a_small_screen(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    wide: dict[str, int] = {}
    windows: dict[str, Page] = {}
    for who, path in pages(scene):
        if who not in windows:
            windows[who] = opened(360, 740)
            if who:
                sign_in(windows[who], getattr(scene, who))
        page = windows[who]
        for width in (360, 390, 820, 1600):
            page.set_viewport_size({"width": width, "height": 740})
            page.goto(path)
            if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
                wide[f"{path} at {width} px"] = needed
    assert wide == {}
