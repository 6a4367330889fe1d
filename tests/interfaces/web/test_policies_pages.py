"""Policies on pages: what changed, where they hold, mistakes at their place, and what a draft would have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.models import User
from governance.commands.policies import bind_policy, publish_parameters, publish_policy
from governance.models import Binding, ParameterSet, PolicyRevision
from interfaces.web.pages import documents, policies
from tests.cast import actor
from tests.interfaces.web.conftest import POLICIES, Scene
from tests.interfaces.web.test_pages import text
from workflows import states

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]

FIRST = (POLICIES / "credit-production.yaml").read_text()
SECOND = FIRST.replace("default: 0.80", "default: 0.95").replace("expires_after_days: 30", "expires_after_days: 20")
BINDING = (POLICIES / "credit-binding.yaml").read_text()
PAGE = "/policies/credit-production/"


def test_a_revision_is_published_and_shown_against_the_one_before(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    begun = text(pat.get("/policies/publish?policy=credit-production"))
    assert "kind: Policy" in begun and "expires_after_days: 30" in begun
    answer = pat.post("/policies/publish?policy=credit-production", {"document": SECOND})
    assert answer.status_code == 302 and answer["Location"] == PAGE
    assert "credit-production v2 is the newest revision" in text(pat.get(PAGE))
    shown = text(pat.get(f"{PAGE}?revision=2&against=1"))
    assert "2 lines added, 2 removed" in shown
    assert '<span class="del"><b class="vh">removed: </b>    default: 0.80</span>' in shown
    assert '<span class="add"><b class="vh">added: </b>    default: 0.95</span>' in shown
    assert "artifact-scan" not in shown.split('class="src diff"')[1].split("</pre>")[0]  # far from any change
    assert "The two are the same." in text(pat.get(f"{PAGE}?revision=1&against=1"))
    assert pat.get(f"{PAGE}?revision=1&against=9").status_code == 404


def test_each_mistake_stands_at_its_line_and_column(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    wrong = FIRST.replace("type: number", "type: numeral", 1).replace("count: 2", "count: many")
    answer = pat.post("/policies/publish", {"document": wrong})
    page = text(answer)
    assert answer.status_code == 400 and PolicyRevision.objects.count() == 1
    line = 1 + wrong[: wrong.index("numeral")].count("\n")
    assert f'<a href="#M{line}">Line {line}, column ' in page and f'<span id="M{line}" class="hit">' in page
    assert "type: numeral" in page.split("<textarea")[1]  # what was written is not lost
    assert "2 mistakes." in page
    assert pat.post("/policies/publish", {"document": ""}).status_code == 422
    evil = pat.post("/policies/publish", {"document": "kind: <script>alert(1)</script>"})
    assert "<script>alert" not in text(evil)


def test_only_who_may_publish_is_offered_to_and_can(scene: Scene, signed_in: Browser) -> None:
    ravi = signed_in(scene.ravi)
    page = text(ravi.get(PAGE))
    for words in ("Publish a revision", "Bind it", "End credit-models now", "/policies/parameters"):
        assert words not in page and words in text(signed_in(scene.pat).get(PAGE))
    for path in ("/policies/publish", "/policies/bind", "/policies/parameters"):
        assert ravi.get(path).status_code == 403 and ravi.post(path, {"document": SECOND}).status_code == 403
    ended = ravi.post("/bindings/credit-models/end", {"policy": "credit-production"})
    assert ended.status_code == 403 and "it needs policy:publish" in text(ended)
    assert PolicyRevision.objects.count() == 1 and Binding.objects.get().valid_to is None
    assert "Try a draft" in page and "Try a draft" not in text(signed_in(scene.dana).get(PAGE))


def test_a_binding_is_replaced_and_ended_and_the_past_stays_on_the_page(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    assert "mode: shadow" in text(pat.get("/policies/bind?policy=credit-production"))
    nothing = pat.post("/policies/bind", {"document": BINDING.replace("credit-production", "no-such-policy")})
    assert nothing.status_code == 404 and "no policy" in text(nothing)
    assert pat.post("/policies/bind", {"document": BINDING.replace("targets:", "mode: warn\ntargets:")}).status_code == 302
    page = text(pat.get(PAGE))
    assert "Warns only" in page and "1 binding that is over" in page and "Enforced" in page
    assert pat.post("/bindings/credit-models/end", {"policy": "credit-production"}).status_code == 302
    page = text(pat.get(PAGE))
    assert "It guards nothing yet." in page and "2 bindings that are over" in page
    gone = pat.post("/bindings/credit-models/end", {"policy": "credit-production"})
    assert gone.status_code == 404 and "in force or to come" in text(gone)


def test_named_parameters_are_published_and_shown(scene: Scene, signed_in: Browser) -> None:
    pat = signed_in(scene.pat)
    written = text(pat.get("/policies/parameters?policy=credit-production"))
    assert "kind: Parameters" in written
    document = (
        "kind: Parameters\nname: retail\npolicy: credit-production\n"
        "values: {validation_dataset: german-credit-validation, min_parity_ratio: 0.9}\n"
    )
    unfit = pat.post("/policies/parameters", {"document": document.replace("0.9", "high")})
    assert unfit.status_code == 400 and not ParameterSet.objects.exists()
    assert pat.post("/policies/parameters", {"document": document}).status_code == 302
    page = text(signed_in(scene.ravi).get(PAGE))
    assert "<b>retail</b> v1" in page and "min_parity_ratio = 0.9" in page


def test_a_draft_is_tried_on_past_requests_and_changes_nothing(scene: Scene, signed_in: Browser) -> None:
    done = scene.promoted()
    ravi = signed_in(scene.ravi)
    page = f"{PAGE}simulate"
    assert "expires_after_days: 30" in text(ravi.get(page))
    sent = {"document": SECOND, "days": "90", "parameters": ""}
    tried = text(ravi.post(page, sent))
    assert "passed, and would have been blocked" in tried and f"/requests/{done.pk}/" in tried
    assert "Demographic parity ratio, age group: passed, now failed" in tried
    same = text(ravi.post(page, {**sent, "document": FIRST}))
    assert "Nothing would have come out otherwise" in same
    eased = text(ravi.post(page, {**sent, "parameters": '{"min_parity_ratio": 0.5}'}))
    assert "Nothing would have come out otherwise" in eased
    for changes, words in (
        ({"parameters": "[1]"}, "Write an object as JSON"),
        ({"days": "9999"}, "less than or equal to 730"),
    ):
        wrong = ravi.post(page, {**sent, **changes})
        assert wrong.status_code == 422 and words in text(wrong)
    broken = ravi.post(page, {**sent, "document": SECOND.replace("count: 2", "count: many")})
    assert broken.status_code == 400 and 'class="hit"' in text(broken)
    other = ravi.post(page, {**sent, "document": SECOND.replace("name: credit-production", "name: another")})
    assert other.status_code == 400 and "The draft is of the policy another" in text(other)
    assert signed_in(scene.dana).post(page, sent).status_code == 403
    assert PolicyRevision.objects.count() == 1


def test_the_life_of_a_request_is_drawn_from_its_table(scene: Scene, signed_in: Browser) -> None:
    page = text(signed_in(scene.ravi).get("/policies/request-states"))
    drawn = policies.diagram()
    steps = {(each.state, event) for each in drawn.moves for event, _ in each.steps}
    assert len(steps) == len(states.TRANSITIONS)
    for arrow in drawn.arrows:
        assert f">{arrow.name}</text>" in page and any(arrow.name.replace(" ", "_") == event for _, event in states.TRANSITIONS)
    assert {"rejected", "withdrawn", "expired"} <= {end.lower() for end in drawn.ends}


def test_pages_of_policies_take_as_many_statements_for_many_as_for_few(scene: Scene, signed_in: Browser) -> None:
    browser = signed_in(scene.pat)

    def taken(path: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert browser.get(path).status_code == 200
        return len(found)

    paths = ("/policies/", PAGE, f"{PAGE}simulate")
    [taken(path) for path in paths]
    few = [taken(path) for path in paths]
    pat: Any = actor(scene.pat)
    for n in range(3):
        publish_policy(actor=pat, document=SECOND.replace("0.95", f"0.9{n}"))
        publish_policy(actor=pat, document=FIRST.replace("name: credit-production", f"name: more-{n}"))
        bind_policy(actor=pat, document=BINDING.replace("name: credit-models", f"name: more-{n}"))
        publish_parameters(
            actor=pat,
            document=f"kind: Parameters\nname: p{n}\npolicy: credit-production\nvalues: {{validation_dataset: german-credit-validation}}\n",
        )
    assert [taken(path) for path in paths] == few and max(few) <= 14


def test_a_comparison_keeps_a_few_lines_around_each_change() -> None:
    before = "\n".join(f"line {n}" for n in range(40))
    after = before.replace("line 5\n", "").replace("line 30", "line thirty")
    found = documents.compared(before, after)
    assert (found.added, found.removed) == (1, 2)
    signs = [line.sign for line in found.lines]
    assert signs.count("gap") == 2 and signs.count("") == 12
    assert documents.compared(before, before).lines == ()
