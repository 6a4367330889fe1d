"""What a person does, as they do it: sign in, read, decide, and see what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core.models import User
from tests.interfaces.web.conftest import MODEL, PASSWORD, Scene

pytestmark = pytest.mark.browser
Window = Callable[..., Page]
SignIn = Callable[[Page, User], None]


def test_a_reviewer_signs_in_approves_and_sees_the_state_change(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    request = scene.approve(scene.under_review(), scene.rosa)
    page = opened()
    sign_in(page, scene.ravi)
    page.get_by_role("link", name="Review and decide").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Promote {MODEL} v1 to Production")
    # Nothing is chosen, so there is nothing to send.
    expect(page.get_by_text("Choose one. Nothing is sent until you sign.")).to_be_visible()
    expect(page.get_by_role("button", name="Sign and approve")).to_be_hidden()
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Password of ravi").fill("wrong")
    page.get_by_role("button", name="Sign and approve").click()
    expect(page.get_by_text("This password does not match. Nothing was signed.")).to_be_visible()
    page.get_by_label("Password of ravi").fill(PASSWORD)
    page.get_by_role("button", name="Sign and approve").click()
    expect(page.get_by_text("Approval recorded.")).to_be_visible()
    expect(page.locator("#decision h2")).to_have_text("Approved")
    request.refresh_from_db()
    assert request.state == "approved"


def test_keys_choose_but_never_sign(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    request = scene.under_review()
    page = opened()
    sign_in(page, scene.ravi)
    page.goto(f"/requests/{request.pk}/")
    page.keyboard.press("x")
    expect(page.get_by_role("radio", name="Reject")).to_be_checked()
    expect(page.get_by_role("button", name="Sign and reject")).to_be_visible()
    page.keyboard.type("acx")  # in the reason now: letters are letters
    expect(page.locator("#why")).to_have_value("acx")
    expect(page.get_by_role("radio", name="Reject")).to_be_checked()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    assert not request.reviews.exists()


def test_the_requirements_refresh_by_themselves_and_leave_the_form_alone(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    request = scene.finish(scene.ask(scene.register()), leave=("fairness",))
    page = opened()
    sign_in(page, scene.ravi)
    page.goto(f"/requests/{request.pk}/")
    expect(page.locator("#review-status .st", has_text="Running").first).to_be_visible()
    scene.finish(request)
    expect(page.locator("#review-status .st", has_text="Running")).to_have_count(0, timeout=15_000)
    expect(page.get_by_text("This request moved on while you had it open.")).to_be_visible()
    expect(page.locator("#decision h2")).to_have_text("Checks are running")


def test_a_scientist_asks_for_a_promotion(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    scene.register()
    page = opened()
    sign_in(page, scene.dana)
    page.get_by_role("link", name=MODEL).click()
    page.get_by_role("link", name="Request promotion").click()
    page.get_by_label("Reason").fill("It treats applicants under 25 more evenly.")
    page.get_by_role("button", name="Ask the reviewers").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Promote {MODEL} v1 to Production")
    expect(page.locator("#decision h2")).to_have_text("Checks are running")


def test_an_auditor_verifies_the_log_without_leaving_it(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    from governance import ledger

    scene.promoted()
    ledger.sequence(whole=True)
    page = opened()
    sign_in(page, scene.aude)
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_role("heading", name="Log verified, no gaps")).to_be_visible()
    page.get_by_label("Action").select_option("promotion")
    expect(page.locator("#log").get_by_text("Run created")).to_have_count(0)
    page.locator("#log .twist").first.click()
    expect(page.locator("#log pre")).to_contain_text('"action": "promotion.')


def test_everything_works_without_script(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    request = scene.under_review()
    page = opened(java_script_enabled=False)
    sign_in(page, scene.ravi)
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Request changes").check()
    page.locator("#why").fill("Say more about group sizes.")
    page.get_by_label("Password of ravi").fill(PASSWORD)
    page.get_by_role("button", name="Sign and request changes").click()
    expect(page.locator("#decision h2")).to_have_text("Changes were asked for")
    page.locator("details.pop summary").click()
    page.get_by_text("Dark").click()
    page.get_by_role("button", name="Set theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_the_theme_changes_at_once_and_stays(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    page = opened()
    sign_in(page, scene.ravi)

    def ground() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert ground() == "rgb(255, 255, 255)"
    page.locator("details.pop summary").click()
    with page.expect_response("**/theme"):
        page.get_by_text("Dark").click()
    assert ground() == "rgb(15, 19, 24)"
    page.keyboard.press("Escape")
    expect(page.locator("details.pop")).not_to_have_attribute("open", "")
    page.goto("/models/")
    assert ground() == "rgb(15, 19, 24)"
