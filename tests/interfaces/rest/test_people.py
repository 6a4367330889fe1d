"""Inbox, claims, delegations, discussions, notifications and conflicts over the API, with and without the right."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.environment import BASE_DIR
from core.models import AuditEvent, User
from governance.commands.policies import publish_policy
from tests.cast import actor, bearer, person
from tests.interfaces.rest.conftest import check_problem
from tests.interfaces.rest.test_api_document import _contains, _examples, _run
from tests.workflows.conftest import POLICY
from workflows.models import Comment, Delegation, MailPreference, Notification, ReviewTask, Thread

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(world: Any) -> Any:
    """A request of Dana's in review, which asks two reviewers."""
    return world.in_review()


def ends(days: int = 5) -> str:
    return (timezone.now() + timedelta(days=days)).isoformat()


def test_the_inbox_of_each_of_the_cast(api, request_, dana, ravi, mallory, stranger) -> None:
    mine = api(ravi).get("inbox/").json()
    assert [row["id"] for row in mine["waiting_on_me"]] == [request_.pk]
    (task,) = mine["tasks"]
    assert (task["group"], task["missing"], task["claimed_by"], task["overdue"]) == ("reviewer", 2, "", False)
    assert task["request"]["model"] == "credit.risk" and mine["mine"] == []
    assert [row["id"] for row in api(dana).get("inbox/").json()["mine"]] == [request_.pk]
    empty = api(mallory).get("inbox/").json()
    assert not any(empty.values())
    assert stranger.get("inbox/").status_code == 401


def test_tasks_page_by_cursor(api, world, request_, ravi, rosa, mallory) -> None:
    first = ReviewTask.objects.get()
    ReviewTask.objects.bulk_create(
        [
            ReviewTask(
                request=request_, policy="p", step="s", group="reviewer", factor=f"f{i}", missing=1, press_at=first.press_at
            )
            for i in range(6)
        ]
    )
    caller, found, address = api(ravi), [], "inbox/tasks/?page_size=3"
    while address:
        answer = caller.get(address).json()
        found += [row["id"] for row in answer["results"]]
        address = answer["next"].replace("http://testserver", "") if answer["next"] else ""
    assert found == list(ReviewTask.objects.order_by("pk").values_list("pk", flat=True))
    assert api(mallory).get("inbox/tasks/").json()["results"] == []
    api(rosa).post(f"tasks/{first.pk}/claim/", {})
    assert [row["claimed_by"] for row in caller.get("inbox/tasks/", whose="others").json()["results"]] == ["rosa"]
    assert caller.get("inbox/tasks/", whose="escalated").json()["results"] == []
    for query in ({"whose": "all"}, {"cursor": "x"}, {"cursor": "2026-01-01T00:00:00+00:00_"}, {"page_size": 0}):
        assert caller.get("inbox/tasks/", **query).status_code == 400


def test_a_review_is_taken_on_and_given_back(api, request_, dana, ravi, rosa, aude, pat, mallory) -> None:
    task = ReviewTask.objects.get()
    taken = api(ravi).post(f"tasks/{task.pk}/claim/", {})
    assert taken.status_code == 200 and taken.json()["claimed_by"] == "ravi" and taken.json()["claimed_until"]
    refused = api(rosa).post(f"tasks/{task.pk}/claim/", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_already")
    for user, status in ((mallory, 404), (dana, 403), (aude, 403), (pat, 403)):
        assert api(user).post(f"tasks/{task.pk}/claim/", {}).status_code == status
    for user, status in ((mallory, 404), (dana, 403), (rosa, 403)):
        assert api(user).post(f"tasks/{task.pk}/release/", {}).status_code == status
    given_back = api(ravi).post(f"tasks/{task.pk}/release/", {})
    assert given_back.status_code == 200 and given_back.json()["claimed_by"] == ""
    assert api(ravi).post(f"tasks/{task.pk}/release/", {}).status_code == 409
    api(rosa).post(f"tasks/{task.pk}/claim/", {})
    assert api(pat).post(f"tasks/{task.pk}/release/", {}).status_code == 200
    assert api(ravi).post("tasks/999/claim/", {}).status_code == 404
    assert api(ravi).post(f"tasks/{task.pk}/claim/", {"for": "rosa"}).status_code == 400


def test_notifications_are_listed_and_marked_by_whose_they_are(api, ravi, rosa, mallory, request_) -> None:
    assert [row["kind"] for row in api(ravi).get("notifications/").json()["results"]] == ["review"]
    (row,) = api(ravi).get("notifications/", unread="true", kind="review").json()["results"]
    assert row["path"] == f"/requests/{request_.pk}/" and row["read"] is False
    assert api(rosa).post("notifications/read/", {"ids": [row["id"]]}).json() == {"marked": 0}
    assert api(mallory).post("notifications/read/", {}).json() == {"marked": 0}
    assert api(ravi).post("notifications/read/", {"ids": [row["id"]]}).json() == {"marked": 1}
    assert api(ravi).get("notifications/", unread="true").json()["results"] == []
    assert api(ravi).get("notifications/", kind="mention").json()["results"] == []
    assert api(rosa).post("notifications/read/", {}).json() == {"marked": 1}
    assert not Notification.objects.filter(user=rosa, read_at=None).exists()


def test_mail_is_chosen_by_each_for_themselves(api, ravi, rosa, stranger) -> None:
    assert api(ravi).get("me/mail/").json() == {"wanted": True}
    assert api(ravi).put("me/mail/", {"wanted": False}).json() == {"wanted": False}
    assert api(ravi).get("me/mail/").json() == {"wanted": False} and api(rosa).get("me/mail/").json() == {"wanted": True}
    assert MailPreference.objects.get().user == ravi
    assert api(ravi).put("me/mail/", {}).status_code == 400
    assert stranger.put("me/mail/", {"wanted": False}).status_code == 401


def test_a_delegation_is_made_listed_and_ended(api, dana, ravi, rosa, aude, pat, mallory) -> None:
    body = {"delegate": "rosa", "ends_at": ends(), "reason": "Holiday."}
    made = api(ravi).post("delegations/", body)
    assert made.status_code == 201
    row = made.json()
    assert (row["delegator"], row["delegate"], row["in_force"], row["groups"]) == ("ravi", "rosa", True, [])
    again = api(ravi).post("delegations/", body)
    assert (again.status_code, again.json()["code"]) == (409, "delegated_already")
    for wrong in ({"ends_at": ends(200)}, {"delegate": "dana"}, {"reason": ""}, {"ends_at": "tomorrow"}, {"until": ends()}):
        assert api(ravi).post("delegations/", {**body, **wrong}).status_code == 400
    assert api(ravi).post("delegations/", {**body, "delegate": "nobody"}).status_code == 404
    for user in (dana, mallory, aude):
        assert api(user).post("delegations/", body).status_code == 403
    assert api(rosa).post("delegations/", {**body, "delegator": "ravi"}).status_code == 403
    listed = {
        user.username: len(api(user).get("delegations/").json()["results"]) for user in (ravi, rosa, aude, pat, dana, mallory)
    }
    assert listed == {"ravi": 1, "rosa": 1, "aude": 1, "pat": 1, "dana": 0, "mallory": 0}
    assert api(pat).get("delegations/", person="dana").json()["results"] == []
    assert len(api(pat).get("delegations/", person="rosa", current="true").json()["results"]) == 1
    address = f"delegations/{row['id']}/revoke/"
    for user, status in ((dana, 404), (mallory, 404), (aude, 404)):
        assert api(user).post(address, {}).status_code == status
    ended = api(rosa).post(address, {})
    assert ended.status_code == 200 and ended.json()["in_force"] is False and ended.json()["revoked_at"]
    assert api(rosa).post(address, {}).status_code == 409
    assert api(pat).get("delegations/", current="true").json()["results"] == []
    assert len(api(pat).get("delegations/", current="false").json()["results"]) == 1
    arranged = api(pat).post("delegations/", {**body, "delegator": "ravi"})
    assert arranged.status_code == 201 and arranged.json()["created_by"] == "pat"


def test_a_delegation_sent_twice_with_one_key_is_made_once(api, ravi, rosa) -> None:
    body = {"delegate": "rosa", "ends_at": ends(), "reason": "Holiday."}
    answers = [api(ravi).post("delegations/", body, idempotency_key="k1") for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201] and Delegation.objects.count() == 1


def test_who_stands_in_sees_it_in_their_inbox(api, world, pat, ravi) -> None:
    publish_policy(actor=actor(pat), document=POLICY.replace("group: reviewer", "group: model-risk"))
    for name in ("rita", "rolf"):
        person(name, "reviewer", groups=("model-risk",))
    world.in_review()
    assert api(ravi).get("inbox/").json()["tasks"] == []
    rita = User.objects.get(username="rita")
    api(rita).post("delegations/", {"delegate": "ravi", "ends_at": ends(), "reason": "Holiday."})
    box = api(ravi).get("inbox/").json()
    assert [task["on_behalf_of"] for task in box["tasks"]] == ["rita"] and box["standing_in_for"] == ["rita"]


def test_a_request_is_discussed(api, request_, dana, ravi, rosa, aude, mallory) -> None:
    address = f"promotion-requests/{request_.pk}/threads/"
    opened = api(ravi).post(address, {"anchor_kind": "requirement", "anchor": "credit/roc-auc", "text": "Why 0.7, @dana?"})
    assert opened.status_code == 201
    thread = opened.json()
    assert opened["Location"] == f"/api/v1/threads/{thread['id']}/"
    assert api(dana).get(opened["Location"]).json()["comments"][0]["mentions"] == ["dana"]
    assert api(dana).get("notifications/", kind="mention").json()["results"][0]["request"] == request_.pk
    answered = api(dana).post(f"threads/{thread['id']}/comments/", {"text": "The policy says so."})
    assert answered.status_code == 201
    comment = f"comments/{answered.json()['id']}/"
    assert api(dana).patch(comment, {"text": "The policy says so; see its page."}).json()["edited_at"]
    for user, status in ((mallory, 404), (rosa, 403)):
        assert api(user).patch(comment, {"text": "x"}).status_code == status
        assert api(user).delete(comment).status_code == status
    (listed,) = api(aude).get(address).json()["results"]
    assert [c["author"] for c in listed["comments"]] == ["ravi", "dana"] and listed["may_resolve"] is False
    for step, resolved in (("resolve", True), ("reopen", False)):
        for user, status in ((mallory, 404), (aude, 403)):
            assert api(user).post(f"threads/{thread['id']}/{step}/", {}).status_code == status
        done = api(rosa).post(f"threads/{thread['id']}/{step}/", {})
        assert done.status_code == 200 and done.json()["resolved"] is resolved
        assert api(rosa).post(f"threads/{thread['id']}/{step}/", {}).status_code == 409
    assert api(dana).delete(comment).status_code == 204
    assert api(dana).delete(comment).status_code == 404
    assert api(ravi).get(f"threads/{thread['id']}/").json()["comments"][1] | {"created_at": 0, "id": 0, "edited_at": 0} == {
        "author": "dana", "author_name": "Dana Example", "text": "", "mentions": [], "deleted": True,
        "created_at": 0, "id": 0, "edited_at": 0,
    }  # fmt: skip
    outsider = api(mallory)
    assert outsider.get(address).status_code == outsider.post(address, {"text": "x"}).status_code == 404
    assert outsider.get(f"threads/{thread['id']}/").status_code == 404
    assert outsider.post(f"threads/{thread['id']}/comments/", {"text": "x"}).status_code == 404


def test_a_version_is_discussed_without_a_request(api, world, dana, ravi, mallory) -> None:
    world.version()
    address = "models/credit.risk/versions/1/threads/"
    made = api(ravi).post(address, {"text": "Worth asking for?"})
    assert made.status_code == 201 and (made.json()["anchor_kind"], made.json()["request"]) == ("version", None)
    assert [t["id"] for t in api(dana).get(address).json()["results"]] == [made.json()["id"]]
    assert api(ravi).post(address, {"anchor_kind": "request", "text": "x"}).status_code == 400
    missing = api(ravi).post(address, {"anchor_kind": "measurement", "anchor": "f1", "text": "x"})
    assert (missing.status_code, missing.json()["code"]) == (400, "no_such_anchor")
    assert api(ravi).post(address, {"text": " "}).status_code == 400
    assert api(ravi).get("models/credit.risk/versions/9/threads/").status_code == 404
    assert api(mallory).get(address).status_code == 404 == api(mallory).post(address, {"text": "x"}).status_code
    assert Thread.objects.count() == Comment.objects.count() == 1


def test_the_threads_of_a_version_hold_those_of_its_requests(api, request_, ravi) -> None:
    api(ravi).post(f"promotion-requests/{request_.pk}/threads/", {"text": "On the request."})
    api(ravi).post("models/credit.risk/versions/1/threads/", {"text": "On the version."})
    (own,) = api(ravi).get(f"promotion-requests/{request_.pk}/threads/").json()["results"]
    both = api(ravi).get("models/credit.risk/versions/1/threads/").json()["results"]
    assert [t["request"] for t in both] == [request_.pk, None] and own["id"] == both[0]["id"]


def test_conflicts_are_for_auditors_and_admins(api, dana, ravi, aude, pat, mallory) -> None:
    person("both", "reviewer", "data-scientist")
    for user in (aude, pat):
        (row,) = api(user).get("access/conflicts/").json()
        assert (row["user"], row["first"], row["second"]) == ("both", "role data-scientist", "role reviewer")
    for user in (dana, ravi, mallory):
        assert api(user).get("access/conflicts/").status_code == 403
    assert AuditEvent.objects.filter(action="access.refused").count() == 3


def test_the_examples_of_the_page_do_what_it_says(dana, ravi, rosa, aude, pat, request_) -> None:
    people = {"DANA": dana, "RAVI": ravi, "ROSA": rosa, "AUDE": aude, "PAT": pat, "OLGA": person("olga", "reviewer")}
    variables = {name: bearer(user)["HTTP_AUTHORIZATION"].removeprefix("Bearer ") for name, user in people.items()}
    variables |= {"API": "/api/v1", "ENDS": ends()}
    examples = _examples((BASE_DIR / "docs" / "reviewing.md").read_text())
    assert len(examples) >= 16
    task, delegation = ReviewTask.objects.get().pk, 0
    for command, below in examples:
        # Sequences of a test's database may stand elsewhere than at the page's 1.
        for page, real in (("tasks/1/", task), ("delegations/1/", delegation), ("promotion-requests/1/", request_.pk)):
            command = command.replace(page, page.replace("1", str(real)))
        status, _, said = below.partition(" ")
        answer = _run(Client(), command, variables)
        assert answer.status_code == int(status), (command, answer.content)
        if answer.status_code >= 400:
            check_problem(answer)
        expected = json.loads(said) if said else None
        if isinstance(expected, dict) and expected.pop("id", None):
            delegation = answer.json()["id"]
        if expected is not None:
            assert _contains(answer.json(), expected), (command, answer.content)
