"""The registers, both themes, wide and narrow: no violation that axe finds, nothing that scrolls sideways, keys suffice."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from core import commands as core_commands
from core.access import Actor
from core.models import AuditEvent, User
from governance import ledger
from governance.commands.policies import bind_policy, publish_parameters, publish_policy
from governance.commands.signing_keys import register_key, revoke_key
from governance.questionnaire import bundled, compile_questionnaire
from registry import commands as registry_commands
from registry.dataset_contracts import publish_contract
from registry.datasets import register_dataset
from tests.browser.looking import faults, violations
from tests.cast import actor, person
from tests.interfaces.web.conftest import MODEL, PASSWORD, POLICIES, Scene
from tests.interfaces.web.test_operations_pages import AGAIN
from tests.interfaces.web.test_risk_pages import WAIVABLE, asking
from tests.signing import new_key, pem
from webhooks import commands as webhook_commands
from webhooks.models import DeliveryAttempt, WebhookDelivery
from workflows.commands import break_glass, calendar, re_reviews
from workflows.commands import findings as finding_commands
from workflows.commands import tiers as tier_commands
from workflows.commands import waivers as waiver_commands
from workflows.commands.delegations import create_delegation

pytestmark = pytest.mark.browser
Window = Callable[..., Page]
SignIn = Callable[[Page, User], None]

CONTRACT = """\
kind: DataContract
columns:
- {name: age, type: integer, nullable: false, min: 18, max: 120}
- {name: town, type: string, nullable: false, pattern: '[a-z]+', unique: true}
- {name: y, type: integer, allowed: [0, 1]}
"""


@dataclass
class Filled:
    """Registers with something of each kind, and who looks at them by name."""

    people: dict[str, User]
    waiting: int
    in_force: int
    finding: int
    closed: int
    emergencies: tuple[int, int, int]  # waiting, in force, over
    endpoint: int
    key: str


def filled(scene: Scene) -> Filled:
    """Put something of each kind on record."""
    mark = person("mark", "reviewer", groups=("model-risk",))
    mark.set_password(PASSWORD)
    mark.save(update_fields=["password"])
    dana, ravi, pat = actor(scene.dana), actor(scene.ravi), actor(scene.pat)
    scene.promoted()
    publish_policy(actor=pat, document=WAIVABLE)
    scene.under_review(parity=0.78)
    waiting = asking(scene, "parity-age")
    rulings = (("parity-sex", 5, "approved"), ("roc-auc", 60, "approved"), ("signature", 30, "refused"))
    for requirement, days, verdict in rulings:
        waiver = asking(scene, requirement, days, version=2)
        waiver_commands.rule_waiver(
            actor=actor(mark), waiver_id=waiver.pk, verdict=verdict, comment="With halved limits until then."
        )
    in_force = waiver.pk - 1
    late = timezone.now().date() - timedelta(days=3)
    opened = finding_commands.raise_finding(
        actor=ravi,
        model_name=MODEL,
        title="Applicants under 25 are refused more often since May",
        severity="high",
        description="The monthly measurement of 3 May shows a ratio of 0.76 in one region.\nThe other regions are as before.",
        owner="dana",
        due_on=late,
    )
    finding_commands.update_finding(actor=ravi, finding_id=opened.pk, due_on=late + timedelta(days=1), comment="A day more.")
    closed = finding_commands.raise_finding(actor=ravi, model_name=MODEL, title="A unit is missing", severity="low")
    finding_commands.close_finding(actor=ravi, finding_id=closed.pk, comment="Written into the card.")
    tier_commands.publish_questionnaire(actor=pat, document=bundled()["materiality"])
    tier_commands.publish_questionnaire(actor=pat, document=bundled()["eu-ai-act"])
    revision = compile_questionnaire(bundled()["materiality"])
    tier_commands.assess_tier(
        actor=dana,
        model_name=MODEL,
        questionnaire="materiality",
        answers={question.id: question.choices[-1].value for question in revision.questions},
        override_tier="medium",
        override_reason="An officer decides every case; the score is one input of several.",
    )
    iris, ivo = (person(name, "incident-responder") for name in ("iris", "ivo"))
    iris.set_password(PASSWORD)
    iris.save(update_fields=["password"])
    emergencies = _emergencies(scene, actor(iris), actor(ivo))
    for name, repeats in (("month-end", "FREQ=MONTHLY;BYMONTHDAY=28"), ("weekends", "FREQ=DAILY")):
        calendar.create_freeze(
            actor=pat,
            name=name,
            reason="Nobody is there to look after it",
            starts="2026-01-28T00:00",
            duration_minutes=1380,
            zone="Europe/Berlin",
            rrule=repeats,
            models=["credit.*"],
            stages=["Production"],
        )
    calendar.publish_calendar(
        actor=pat,
        name="default",
        zone="Europe/Berlin",
        weekdays=[0, 1, 2, 3, 4],
        opens=time(9),
        closes=time(17, 30),
        holidays=[date(2026, 12, 25), date(2027, 1, 1)],
    )
    publish_policy(actor=pat, document=AGAIN)
    binding = (POLICIES / "credit-binding.yaml").read_text()
    bind_policy(actor=pat, document=binding.replace("targets:", "mode: warn\ntargets:"))
    bind_policy(actor=pat, document=binding)
    publish_parameters(
        actor=pat,
        document="kind: Parameters\nname: retail\npolicy: credit-production\n"
        "values: {validation_dataset: german-credit-validation, min_parity_ratio: 0.9}\n",
    )
    re_reviews.report_event(actor=dana, model_name=MODEL, cause="drift", detail="The scores fell by a tenth in one region.")
    endpoint = webhook_commands.create_endpoint(
        actor=pat, name="Pager", url="https://hooks.example.com/in", events=["promotion.*", "waiver.requested"]
    ).endpoint
    ledger.sequence(whole=True)
    for n, event in enumerate(AuditEvent.objects.filter(action__startswith="promotion.").order_by("pk")[:4]):
        row = WebhookDelivery.objects.create(endpoint=endpoint, event=event, state="failed" if n % 2 else "delivered", attempts=1)
        DeliveryAttempt.objects.create(
            delivery=row, status_code=500 if n % 2 else 204, duration_ms=41, error="It answered 500." if n % 2 else ""
        )
    loans(pat, "age,town,y\n30,rome,1\n40,bern,0\n")
    publish_contract(actor=pat, name="loans 2026", document=CONTRACT)
    loans(pat, "age,town,y\n17,oslo,1\n12,,7\n", contract="warn")
    publish_contract(actor=pat, name="loans 2026", document=CONTRACT.replace("18", "21"))
    core_commands.ensure_user(actor=pat, username="load-bot", roles=["pipeline"], service_of="rosa")
    key = register_key(
        actor=pat, name="nightly", public_key=pem(new_key()), owner="load-bot", valid_to=timezone.now() + timedelta(days=9)
    )
    revoke_key(actor=pat, key_id=key.key_id, reason="The runner was replaced, and its disk was not wiped.")
    create_delegation(actor=ravi, delegate="rosa", ends_at=timezone.now() + timedelta(days=9), reason="On leave until the 30th")
    person("both", "reviewer", "platform-admin")
    people = {name: getattr(scene, name) for name in ("dana", "ravi", "rosa", "aude", "pat")} | {"mark": mark, "iris": iris}
    return Filled(people, waiting.pk, in_force, opened.pk, closed.pk, emergencies, endpoint.pk, key.key_id)


def loans(pat: Actor, content: str, **given: Any) -> None:
    """Register a version of a data set."""
    stream = io.BytesIO(content.encode())
    register_dataset(actor=pat, name="loans 2026", stream=stream, format="csv", target="y", **given)


def _emergencies(scene: Scene, iris: Actor, ivo: Actor) -> tuple[int, int, int]:
    """Return an emergency that waits, one in force and one that is over, each for a version of its own model."""
    rows = []
    for n in range(3):
        name = f"credit.limit-{n}"
        registry_commands.create_model(actor=actor(scene.dana), name=name)
        scene.register(name)
        row = break_glass.request_break_glass(
            actor=iris,
            model_name=name,
            version=1,
            target="Production",
            reason="Every limit is refused since ten o'clock.",
            incident=f"INC-{2041 + n}",
            minutes=90,
        )
        if n:
            break_glass.confirm_break_glass(actor=ivo, break_glass_id=row.pk)
        if n == 2:
            break_glass.revert_break_glass(actor=ivo, break_glass_id=row.pk)
        rows.append(row.pk)
    return rows[0], rows[1], rows[2]


def pages(scene: Scene, world: Filled) -> Iterator[tuple[str, str]]:
    """Return who opens which page."""
    yield "dana", "/waivers/"
    yield "dana", f"/waivers/new?model={MODEL}&version=2&policy=credit-production&requirement=parity-age"
    yield "mark", f"/waivers/{world.waiting}/"
    yield "dana", f"/waivers/{world.in_force}/"
    yield "ravi", "/findings/?status="
    yield "ravi", "/findings/new"
    yield "rosa", f"/findings/{world.finding}/"
    yield "dana", f"/findings/{world.finding}/"
    yield "ravi", f"/findings/{world.closed}/"
    yield "dana", f"/tiers/{MODEL}/"
    yield "ravi", f"/tiers/{MODEL}/"
    yield "pat", "/questionnaires/"
    yield "dana", f"/models/{MODEL}/"
    yield "dana", "/re-reviews/"
    yield "dana", "/re-reviews/report"
    yield "iris", "/emergencies/"
    yield "iris", "/emergencies/new"
    for number in world.emergencies:
        yield "iris", f"/emergencies/{number}/"
    yield "ravi", f"/emergencies/{world.emergencies[2]}/"
    yield "pat", "/freezes/"
    yield "pat", "/freezes/new"
    yield "pat", "/calendars/"
    yield "pat", "/policies/"
    yield "pat", "/policies/credit-production/"
    yield "pat", "/checks/"
    yield "pat", "/policies/credit-production/?revision=3&against=1"
    yield "pat", "/policies/credit-production/simulate"
    yield "pat", "/policies/publish?policy=credit-production"
    yield "pat", "/policies/bind?policy=credit-production"
    yield "ravi", "/policies/request-states"
    yield "ravi", "/delegations/"
    yield "pat", "/delegations/"
    yield "aude", "/conflicts/"
    yield "pat", "/datasets/"
    yield "ravi", "/datasets/german-credit-validation/"
    yield "pat", "/datasets/loans%202026/"
    yield "pat", "/datasets/loans%202026/versions/2/"
    yield "pat", "/datasets/loans%202026/contract"
    yield "pat", "/signing-keys/"
    yield "pat", f"/signing-keys/{world.key}/"
    yield "pat", "/webhooks/"
    yield "pat", f"/webhooks/{world.endpoint}/"


def test_no_register_has_a_violation_or_scrolls_sideways(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    found: dict[str, list[str]] = {}
    windows: dict[str, Page] = {}
    world = filled(scene)
    for who, path in pages(scene, world):
        if who not in windows:
            windows[who] = opened()
            sign_in(windows[who], world.people[who])
        windows[who].goto(path)
        found |= {f"{path} for {who}, {where}": what for where, what in faults(windows[who])}
    assert found == {}
    page = windows["pat"]
    for width in (820, 1000, 1215, 1217):
        page.set_viewport_size({"width": width, "height": 740})
        places, tools = page.locator(".bar nav ul").bounding_box(), page.locator(".bar .tools").bounding_box()
        assert places and tools
        beside = places["x"] + page.evaluate("document.querySelector('.bar nav ul').scrollWidth") <= tools["x"]
        assert beside or places["y"] >= tools["y"] + tools["height"], f"the places lie under the search at {width} px"


def test_mistakes_in_a_document_and_in_fields_are_no_violation_either(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    world = filled(scene)
    page = opened(1440, 900)
    sign_in(page, world.people["pat"])
    page.goto("/policies/publish?policy=credit-production")
    page.get_by_label("Document").fill(AGAIN.replace("count: 2", "count: many"))
    page.get_by_role("button", name="Publish the policy").click()
    expect(page.get_by_text("1 mistake.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Line 1").click()
    expect(page.locator(".src .hit:target")).to_have_count(1)
    page.goto("/policies/credit-production/simulate")
    page.get_by_role("button", name="Judge past requests").click()
    expect(page.get_by_role("heading", name="What it would have changed")).to_be_visible()
    assert violations(page) == []
    page.goto("/freezes/new")
    page.get_by_role("button", name="Put the freeze in force").click()
    expect(page.get_by_text("Say how long it lasts.")).to_be_visible()
    assert violations(page) == []
    page.goto("/webhooks/")
    page.get_by_label("Name", exact=True).fill("Desk")
    page.get_by_label("Address").fill("https://desk.example.com/in")
    page.get_by_role("textbox", name="Events").fill("*")
    page.get_by_role("button", name="Add the endpoint").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    assert violations(page) == []


def test_a_waiver_is_approved_with_the_keyboard_alone_and_without_script(scene: Scene, opened: Window, sign_in: SignIn) -> None:
    world = filled(scene)
    page = opened(java_script_enabled=False)
    sign_in(page, world.people["mark"])
    page.goto("/waivers/")
    page.get_by_role("link", name="parity-age").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/waivers/{world.waiting}/")
    page.locator("#rule_comment").focus()
    page.keyboard.type("For two months, with the officer.")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve the waiver")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("For two months, with the officer.")).to_be_visible()
    expect(page.get_by_role("button", name="End the waiver")).to_be_visible()
