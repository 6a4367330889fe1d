"""Deciding as people do it: sign what one read, talk meanwhile, take work on; by keys alone, without script, and for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from core.access import SYSTEM
from core.models import User
from governance.commands.cards import write_card
from governance.commands.policies import publish_policy
from tests.browser.looking import faults
from tests.cast import actor, person
from tests.interfaces.web.conftest import CARD, MODEL, PASSWORD, Scene
from tests.interfaces.web.governed import STRICT, Governed, govern
from workflows.commands import break_glass, execution, re_reviews
from workflows.models import PromotionRequest, ReReview, Signature

pytestmark = pytest.mark.browser
Window = Callable[..., Page]
SignIn = Callable[[Page, User], None]


@pytest.fixture
def governed(scene: Scene) -> Governed:
    return govern(scene)


def signing(page: Page, request: PromotionRequest, verdict: str = "Approve") -> None:
    """Open a request and choose what to sign."""
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name=verdict).check()
    page.get_by_role("radio", name="Reviewed and agreed").check()


def test_a_reviewer_reads_the_exact_statement_and_signs_it(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    request = governed.asked(parity=0.9)
    page = opened()
    sign_in(page, governed.rita)
    page.get_by_role("link", name="Review and decide").click()
    expect(page.get_by_text("You can approve as model-risk (1 of 2).")).to_be_visible()
    signing(page, request)
    statement = page.locator("#statement")
    expect(statement).to_contain_text(f"I, Rita Example approve REQ-{request.pk}")
    page.get_by_role("radio", name="Reject").check()
    expect(statement).to_contain_text(f"I, Rita Example reject REQ-{request.pk}")
    page.get_by_role("radio", name="Approve").check()
    expect(statement).to_contain_text(f"I, Rita Example approve REQ-{request.pk}")
    page.get_by_label("Password of rita").fill(PASSWORD)
    page.get_by_role("button", name="Sign and approve").click()
    expect(page.get_by_text("Approval recorded.")).to_be_visible()
    expect(page.locator("#decision")).to_contain_text("1 more of model-risk: Tom Example")
    assert Signature.objects.get().statement.startswith("I, Rita Example approve")


def test_keys_suffice_to_choose_read_and_sign(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    request = governed.asked(parity=0.9)
    page = opened()
    sign_in(page, governed.rita)
    page.goto(f"/requests/{request.pk}/")
    page.keyboard.press("a")
    expect(page.locator("#why")).to_be_focused()
    page.keyboard.press("Shift+Tab")  # into the meanings
    page.keyboard.press("Space")
    expect(page.locator("#statement")).to_contain_text("I, Rita Example approve")
    page.get_by_label("Password of rita").focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign and approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Approval recorded.")).to_be_visible()
    assert request.reviews.get().reviewer == governed.rita


def test_every_control_of_the_page_is_reached_by_tab_and_shows_it(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    request = governed.asked(parity=0.78)
    governed.talk(request)
    page = opened()
    sign_in(page, governed.rita)
    page.goto(f"/requests/{request.pk}/")
    wanted = {"why", "pw", "say-about", "say-text", "say-send"}
    reached: set[str] = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "(() => { const e = document.activeElement; const s = getComputedStyle(e); const l = e.closest('label');"
            " const o = l ? getComputedStyle(l) : s;"
            " return [e.id, s.outlineStyle !== 'none' || o.outlineStyle !== 'none'] })()"
        )
        if at[0] in wanted:
            assert at[1], at[0]
            reached.add(at[0])
    assert reached == wanted


def test_talk_goes_on_beside_a_half_written_decision(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    request = governed.asked(parity=0.9)
    page = opened()
    sign_in(page, governed.rita)
    page.goto(f"/requests/{request.pk}/")
    page.locator("#why").fill("Half a thought")
    page.get_by_label("New discussion on").select_option("card:limitations")
    page.locator("#say-text").fill("Which region, @dana?")
    page.get_by_role("button", name="Begin discussion").click()
    thread = page.locator(".thread")
    expect(thread).to_contain_text("Which region, @dana?")
    expect(page.locator("#why")).to_have_value("Half a thought")
    thread.get_by_label("Answer on").fill("Hesse, I think.")
    thread.get_by_role("button", name="Answer").click()
    expect(thread).to_contain_text("Hesse, I think.")
    thread.get_by_role("button", name="Resolve").click()
    expect(thread.locator("details").first.locator("summary").first).to_contain_text("Resolved")
    expect(page.locator("#why")).to_have_value("Half a thought")
    assert request.threads.get().resolved_at is not None


def test_a_review_is_taken_on_from_the_inbox(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    governed.asked(parity=0.9)
    page = opened()
    sign_in(page, governed.rita)
    page.goto("/requests/")
    page.get_by_role("button", name="Take on").click()
    expect(page.get_by_text("You have it until")).to_be_visible()
    page.get_by_role("button", name="Give back").click()
    expect(page.get_by_role("button", name="Take on")).to_be_visible()


def test_signing_and_talking_work_without_script(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    request = governed.asked(parity=0.9)
    page = opened(java_script_enabled=False)
    sign_in(page, governed.rita)
    page.goto(f"/requests/{request.pk}/")
    page.locator("#say-text").fill("Which region?")
    page.get_by_role("button", name="Begin discussion").click()
    expect(page.locator(".thread")).to_contain_text("Which region?")
    signing(page, request)
    page.get_by_role("button", name="Show what I would sign").click()
    expect(page.locator("#statement")).to_contain_text("I, Rita Example approve")
    page.locator("#why").fill("Weighed.")
    page.get_by_label("Password of rita").fill(PASSWORD)
    page.get_by_role("button", name="Sign and approve").click()
    expect(page.locator("#decision h2")).to_have_text("You approved")
    assert Signature.objects.get().meaning == "reviewed and agreed"


def test_a_draft_is_asked_moved_to_newer_policies_and_withdrawn(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    version = governed.scene.register(card=CARD)
    page = opened()
    sign_in(page, governed.scene.dana)
    page.goto(f"/models/{MODEL}/versions/{version.number}/")
    page.get_by_label("Reason").fill("For next week.")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#decision h2")).to_have_text("Draft")
    page.get_by_role("button", name="Ask now").click()
    expect(page.locator("#decision h2")).to_have_text("Checks are running")
    publish_policy(actor=actor(governed.scene.pat), document=STRICT.replace("default: 0.8}", "default: 0.7}"))
    page.reload()
    expect(page.get_by_text("Min parity: 0.800 becomes 0.700")).to_be_visible()
    page.get_by_role("button", name="Move to the policies of now").click()
    expect(page.get_by_text("Moved to the policies in force now.")).to_be_visible()
    page.get_by_text("Withdraw request").first.click()
    page.get_by_role("button", name="Withdraw request").click()
    expect(page.locator("#decision h2")).to_have_text("Withdrawn")


# For everybody: what axe finds, and what scrolls sideways.


def pages(governed: Governed) -> Iterator[tuple[User, str]]:
    """Return who opens which page, with the situation made just before."""
    scene = governed.scene
    first = governed.approved(governed.asked(parity=0.9))
    execution.execute_request(actor=SYSTEM, request_id=first.pk)
    re_reviews.open_re_reviews(actor=SYSTEM, model=first.model, cause="drift", detail="ROC AUC fell to 0.71.")
    ReReview.objects.update(due_at=timezone.now() - timedelta(days=2))
    governed.found(1)
    request = governed.asked(parity=0.78)
    path = f"/requests/{request.pk}/"
    yield scene.dana, path
    governed.waive(request)
    governed.talk(request)
    governed.stand_in(governed.carla, governed.tom)
    governed.sign(request, governed.rita, comment="Looked at every slice.")
    yield governed.tom, f"{path}?about=card:limitations"
    yield scene.aude, path
    for tab in ("waiting", "groups", "mine", "mentions", "re-reviews", "waivers", "news"):
        yield governed.tom if tab in ("waiting", "groups") else scene.dana, f"/requests/?tab={tab}"
    changed = {**CARD, "limitations": "Other words, and enough of them.", "monitoring_plan": "Monthly, by the risk team."}
    write_card(actor=actor(scene.dana), model_name=MODEL, version=request.version.number, sections=changed)
    publish_policy(actor=actor(scene.pat), document=STRICT.replace("default: 0.8}", "default: 0.85}"))
    yield governed.rita, path
    yield scene.dana, path
    yield scene.dana, f"/requests/{governed.draft().pk}/"
    yield scene.dana, f"/models/{MODEL}/versions/1/?what=re_review:stage:Production"
    one, two = (person(name, "incident-responder") for name in ("ines", "omar"))
    move = break_glass.request_break_glass(
        actor=actor(one),
        model_name=MODEL,
        version=2,
        target="Production",
        reason="Scores are wrong.",
        incident="INC-7",
        minutes=60,
    )
    break_glass.confirm_break_glass(actor=actor(two), break_glass_id=move.pk)
    yield governed.tom, "/requests/"
    break_glass.revert_break_glass(actor=actor(one), break_glass_id=move.pk)
    yield scene.ravi, "/requests/?tab=emergencies"


def test_no_situation_has_a_violation_or_scrolls_sideways(governed: Governed, opened: Window, sign_in: SignIn) -> None:
    found: dict[str, list[str]] = {}
    windows: dict[str, Page] = {}
    for user, path in pages(governed):
        if user.username not in windows:
            windows[user.username] = opened()
            sign_in(windows[user.username], user)
        page = windows[user.username]
        page.goto(path)
        if page.locator("#meanings").count():
            page.get_by_role("radio", name="Approve").check()
            page.get_by_role("radio", name="Reviewed and agreed").check()
            expect(page.locator("#statement")).to_contain_text("Digest")
        found |= {f"{path} for {user.username}, {where}": what for where, what in faults(page)}
    assert found == {}
