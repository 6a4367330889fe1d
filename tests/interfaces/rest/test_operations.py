"""Freezes, calendars, emergencies, re-reviews and reported events over the API, by who may and who may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.environment import BASE_DIR
from core.models import AuditEvent
from interfaces.rest import icalendar
from registry.models import ModelVersion
from tests.cast import actor, bearer, person
from tests.interfaces.rest.conftest import check_problem
from tests.interfaces.rest.test_api_document import _contains, _examples, _run
from tests.workflows.test_break_glass import holding, promoted
from tests.workflows.test_re_reviews import publish
from workflows.commands import break_glass
from workflows.models import BreakGlass, FreezeWindow, ReReview

pytestmark = pytest.mark.django_db

FREEZE = {
    "name": "weekends",
    "reason": "Nobody is there; call, or wait.",
    "starts": "2026-01-02T18:00",
    "duration_minutes": 3600,
    "zone": "Europe/Berlin",
    "rrule": "FREQ=WEEKLY;BYDAY=FR",
    "models": ["credit.*"],
    "stages": ["Production"],
}
CALENDAR = {
    "name": "berlin",
    "zone": "Europe/Berlin",
    "weekdays": [0, 1, 2, 3, 4],
    "opens": "09:00",
    "closes": "17:30",
    "holidays": ["2026-12-25"],
}
EMERGENCY = {
    "model": "credit.risk",
    "version": 1,
    "target": "Production",
    "reason": "Every credit is refused.",
    "incident": "INC-7",
    "minutes": 30,
}


def test_freezes_are_made_listed_and_ended(api, pat, dana, mallory, world) -> None:
    for other in (dana, mallory):
        assert api(other).post("freezes/", FREEZE).status_code == 403
    made = api(pat).post("freezes/", FREEZE, Idempotency_Key="freeze-1")
    assert made.status_code == 201 and made["Location"] == "/api/v1/freezes/weekends/"
    assert api(pat).post("freezes/", FREEZE, Idempotency_Key="freeze-1")["Idempotency-Replayed"] == "true"
    assert api(pat).post("freezes/", FREEZE).json()["code"] == "already_exists"
    (row,) = api(dana).get("freezes/").json()["results"]
    assert (row["name"], row["models"], row["created_by"], len(row["upcoming"])) == ("weekends", ["credit.*"], "pat", 5)
    assert all(opening["begins"] < opening["ends"] for opening in row["upcoming"])
    assert api(mallory).get("freezes/").status_code == 403
    assert api(dana).delete("freezes/weekends/").status_code == 403
    assert api(pat).delete("freezes/weekends/").status_code == 204
    assert api(pat).delete("freezes/weekends/").status_code == 404
    assert api(dana).get("freezes/").json()["results"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"duration_minutes": 0}, "#/duration_minutes"),
        ({"duration_minutes": 10**9}, "#/duration_minutes"),
        ({"reasons": "x"}, "#/reasons"),
        ({"models": ["x" * 257]}, "#/models/0"),
        ({"zone": "Mars"}, None),
        ({"rrule": "FREQ=SECONDLY"}, None),
        ({"risk_tiers": ["huge"]}, None),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(api, pat, change: dict[str, Any], pointer: str | None) -> None:
    answer = api(pat).post("freezes/", {**FREEZE, **change})
    assert answer.status_code == 400
    assert [e["pointer"] for e in answer.json().get("errors", [])] == ([pointer] if pointer else [])
    assert not FreezeWindow.objects.exists()


def test_a_calendar_program_can_subscribe_to_the_freezes(api, pat, dana, mallory) -> None:
    with time_machine.travel(datetime(2026, 3, 27, 17, 30, tzinfo=UTC), tick=False):
        said = "Books;\nclosed, \\ until " + "é" * 60
        api(pat).post("freezes/", {**FREEZE, "reason": said})
        api(pat).post("freezes/", {**FREEZE, "name": "once", "rrule": "", "starts": "2026-12-20T00:00", "duration_minutes": 1440})
        answer = api(dana).get("freezes/calendar.ics")
        assert api(mallory).get("freezes/calendar.ics").status_code == 403
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    text = answer.content.decode()
    assert text.startswith("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n") and text.endswith("END:VEVENT\r\nEND:VCALENDAR\r\n")
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    lines = text.replace("\r\n ", "").split("\r\n")
    events = [dict(part.split(":", 1) for part in event) for event in _events(lines)]
    assert len(events) == 54 and len({event["UID"] for event in events}) == 54
    once = next(event for event in events if event["SUMMARY"] == "Freeze: once")
    assert (once["DTSTART"], once["DTEND"]) == ("20261219T230000Z", "20261220T230000Z")
    weekend = [event for event in events if event["SUMMARY"] == "Freeze: weekends"]
    # The first is in force; it began before the clock was moved and ends after that.
    assert [(e["DTSTART"], e["DTEND"]) for e in weekend[:2]] == [
        ("20260327T170000Z", "20260330T040000Z"), ("20260403T160000Z", "20260406T040000Z")
    ]  # fmt: skip
    assert weekend[0]["DESCRIPTION"] == "Books\\;\\nclosed\\, \\\\ until " + "é" * 60


def _events(lines: list[str]) -> list[list[str]]:
    begins = [i for i, line in enumerate(lines) if line == "BEGIN:VEVENT"]
    return [lines[i + 1 : lines.index("END:VEVENT", i)] for i in begins]


@pytest.mark.parametrize("length", [10, 74, 75, 76, 150, 400])
@pytest.mark.parametrize("character", ["x", "é", "漢", "𝛑"])
def test_a_folded_line_is_short_and_reads_as_before(length: int, character: str) -> None:
    line = character * length
    folded = "".join(icalendar._folded(line))
    assert folded.endswith("\r\n") and folded[:-2].replace("\r\n ", "") == line
    assert all(len(piece.encode()) <= 75 for piece in folded.split("\r\n"))


def test_business_calendars_are_published_and_listed(api, pat, dana, mallory) -> None:
    for other in (dana, mallory):
        assert api(other).post("calendars/", CALENDAR).status_code == 403
    assert api(pat).post("calendars/", CALENDAR).status_code == 201
    assert api(pat).post("calendars/", {**CALENDAR, "closes": "00:00"}).status_code == 201
    (row,) = api(dana).get("calendars/").json()
    assert (row["name"], row["opens"], row["closes"], row["holidays"]) == ("berlin", "09:00", "00:00", ["2026-12-25"])
    assert api(mallory).get("calendars/").status_code == 403
    assert api(pat).post("calendars/", {**CALENDAR, "weekdays": [7]}).json()["errors"][0]["pointer"] == "#/weekdays/0"
    assert api(pat).post("calendars/", {**CALENDAR, "closes": "08:00"}).status_code == 400


def test_an_emergency_from_asking_to_its_review(api, dana, aude, mallory, world) -> None:
    ines, ivo = person("ines", "incident-responder"), person("ivo", "incident-responder")
    world.version()
    for other in (dana, aude):
        refused = api(other).post("break-glass/", EMERGENCY)
        assert refused.status_code == 403 and "break-glass:use" in refused.json()["detail"]
    made = api(ines).post("break-glass/", EMERGENCY, Idempotency_Key="now")
    assert made.status_code == 201 and made.json()["state"] == "requested"
    path = f"break-glass/{made.json()['id']}/"
    assert made["Location"] == f"/api/v1/{path}"
    assert api(ines).post("break-glass/", EMERGENCY).json()["code"] == "emergency_open"

    own = api(ines).post(f"{path}confirm/")
    assert own.status_code == 403 and own.json()["code"] == "separation_of_duties"
    assert api(dana).post(f"{path}confirm/").status_code == 403
    assert api(dana).post(f"{path}refuse/").status_code == 403
    assert holding() == []
    confirmed = api(ivo).post(f"{path}confirm/").json()
    assert (confirmed["state"], confirmed["confirmed_by"], confirmed["from_stage"]) == ("in_force", "ivo", "None")
    assert holding() == [1]
    assert api(ivo).post(f"{path}confirm/").json()["code"] == "wrong_state"
    assert api(ivo).post(f"{path}refuse/", {"comment": "late"}).json()["code"] == "wrong_state"
    (listed,) = api(dana).get("break-glass/", state="in_force", model="credit.risk").json()["results"]
    assert listed == api(aude).get(path).json()
    assert api(mallory).get("break-glass/").json()["results"] == []
    assert api(mallory).get(path).status_code == 404
    assert api(dana).get("break-glass/", state="burning").status_code == 400

    assert api(aude).post(f"{path}close/", {"note": "Fine."}).json()["code"] == "wrong_state"
    assert api(dana).post(f"{path}revert/").status_code == 403
    assert api(ivo).post(f"{path}revert/").json()["state"] == "reverted"
    assert holding() == []
    assert api(ivo).post(f"{path}revert/").status_code == 409
    for other in (ines, ivo, dana):
        assert api(other).post(f"{path}close/", {"note": "Fine."}).status_code == 403
    assert api(aude).post(f"{path}close/", {}).status_code == 400
    closed = api(aude).post(f"{path}close/", {"note": "The pager was right."}).json()
    assert (closed["state"], closed["reviewed_by"], closed["review_note"]) == ("closed", "aude", "The pager was right.")
    assert AuditEvent.objects.filter(action="access.refused").count() >= 8

    again = api(ines).post("break-glass/", EMERGENCY).json()["id"]
    assert api(ivo).post(f"break-glass/{again}/refuse/", {"comment": "No."}).json()["outcome"] == "Refused by ivo: No."


@pytest.mark.parametrize(
    "change", [{"minutes": 0}, {"minutes": 1441}, {"version": 0}, {"target_kind": "pod"}, {"reason": ""}, {"until": "tomorrow"}]
)
def test_an_emergency_that_makes_no_sense_is_refused(api, world, change: dict[str, Any]) -> None:
    ines = person("ines", "incident-responder")
    world.version()
    answer = api(ines).post("break-glass/", {**EMERGENCY, **change})
    assert answer.status_code == 400
    assert [e["pointer"] for e in answer.json()["errors"]] == [f"#/{next(iter(change))}"]


def test_events_are_reported_and_what_they_open_is_listed(api, pat, dana, ravi, aude, mallory, world) -> None:
    publish(pat)
    promoted(world)
    event = {"cause": "drift", "detail": "PSI of income is 0.31."}
    assert api(ravi).post("models/credit.risk/events/", event).status_code == 403
    assert api(mallory).post("models/credit.risk/events/", event).status_code == 404
    made = api(dana).post("models/credit.risk/events/", event, Idempotency_Key="psi")
    assert made.status_code == 201
    (opened,) = made.json()
    assert (opened["cause"], opened["version"], opened["target"], opened["overdue"]) == ("drift", 1, "Production", False)
    assert api(dana).post("models/credit.risk/events/", event).json() == []
    recalled = {"cause": "dataset_recalled", "detail": "Consent withdrawn.", "dataset": "validation@v1"}
    assert len(api(aude).post("models/credit.risk/events/", recalled).json()) == 1
    assert api(aude).post("models/credit.risk/events/", {**recalled, "dataset": "x@v1"}).status_code == 404
    for wrong in ({"cause": "clock"}, {"detail": ""}, {"version": 0}, {"severity": "high"}):
        assert api(aude).post("models/credit.risk/events/", {**event, **wrong}).status_code == 400

    assert [r["cause"] for r in api(ravi).get("re-reviews/").json()["results"]] == ["drift", "dataset_recalled"]
    assert len(api(ravi).get("re-reviews/", model="credit.risk", cause="drift", state="open").json()["results"]) == 1
    assert api(ravi).get("re-reviews/", state="overdue").json()["results"] == []
    assert api(ravi).get("re-reviews/", state="closed").json()["results"] == []
    assert api(mallory).get("re-reviews/").json()["results"] == []
    assert api(ravi).get("re-reviews/", state="late").status_code == 400
    ReReview.objects.filter(cause="drift").update(due_at=timezone.now() - timedelta(days=1))
    ReReview.objects.filter(cause="dataset_recalled").update(closed_at=timezone.now(), outcome="x")
    (late,) = api(ravi).get("re-reviews/", state="overdue").json()["results"]
    assert late["overdue"] and late["cause"] == "drift"
    (done,) = api(ravi).get("re-reviews/", state="closed").json()["results"]
    assert done["cause"] == "dataset_recalled" and not done["overdue"]


def test_no_list_takes_a_statement_for_each_row(api, pat, dana, aude, world) -> None:
    ines, ivo = person("ines", "incident-responder"), person("ivo", "incident-responder")
    publish(pat)
    promoted(world)
    counts: list[dict[str, int]] = []
    for i in range(3):
        world.version()
        api(pat).post("freezes/", {**FREEZE, "name": f"f{i}"})
        api(pat).post("calendars/", {**CALENDAR, "name": f"c{i}"})
        row = api(ines).post("break-glass/", {**EMERGENCY, "version": i + 2}).json()["id"]
        break_glass.confirm_break_glass(actor=actor(ivo), break_glass_id=row)
        break_glass.revert_break_glass(actor=actor(ivo), break_glass_id=row)
        cause = ("drift", "incident", "vulnerability")[i]
        api(dana).post("models/credit.risk/events/", {"cause": cause, "detail": "x"})
        caller, seen = api(aude), {}
        for path in ("freezes/", "freezes/calendar.ics", "calendars/", "break-glass/", f"break-glass/{row}/", "re-reviews/"):
            assert caller.get(path).status_code == 200
            with CaptureQueriesContext(connection) as queries:
                caller.get(path)
            seen[path.replace(str(row), "1")] = len(queries)
        counts.append(seen)
    assert counts[1] == counts[2] and max(counts[2].values()) <= 3, counts
    assert ModelVersion.objects.count() == 4 and BreakGlass.objects.count() == 3


def test_the_examples_of_the_page_do_what_it_says(pat, dana, ravi, aude, world) -> None:
    people = {name: person(name.lower(), "incident-responder") for name in ("INES", "IVO")}
    people |= {"PAT": pat, "DANA": dana, "RAVI": ravi, "AUDE": aude}
    variables = {name: bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer ") for name, user in people.items()}
    publish(pat)
    promoted(world)
    world.version()
    examples = _examples((BASE_DIR / "docs" / "operations-of-releases.md").read_text())
    assert len(examples) >= 14
    emergency = None
    for command, below in examples:
        status, _, said = below.partition(" ")
        # Sequences of a test's database may stand elsewhere than at the page's 1.
        answer = _run(Client(), command.replace("break-glass/1/", f"break-glass/{emergency}/"), {**variables, "API": "/api/v1"})
        assert answer.status_code == int(status), (command, answer.content)
        if answer.status_code >= 400:
            check_problem(answer)
        expected = json.loads(said) if said else None
        if isinstance(expected, dict) and expected.pop("id", None):
            emergency = answer.json()["id"]
        if expected is not None:
            assert _contains(answer.json(), expected), (command, answer.content)
    assert holding() == [1]
