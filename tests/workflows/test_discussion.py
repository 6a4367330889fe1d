"""Threads and comments: what they may be about, who is spoken to, who may change what, and what the gate makes of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from core import commands as core_commands
from core.access import grant
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import AuditEvent, Job, User
from governance.commands.cards import write_card
from governance.commands.policies import publish_policy
from registry.models import RegisteredModel
from tests.cast import ROOT, actor, person
from tests.workflows.conftest import POLICY
from workflows import discussions
from workflows.commands import discussion
from workflows.lifecycle import ADVANCE
from workflows.models import Comment, Notification, Thread
from workflows.queries import people

pytestmark = pytest.mark.django_db

RESOLVED = """\
  - id: discussed
    title: Nothing is left unresolved
    how_to_satisfy: Resolve the threads.
    satisfied_if: discussion.unresolved == 0
"""


def begin(user: User, request: Any = None, text: str = "Why so few rows?", **options: Any) -> Thread:
    given = {"anchor_kind": "request", **options}
    if request is not None:
        given["request_id"] = request.pk
    return discussion.open_thread(actor=actor(user), text=text, **given)


def last_event() -> tuple[str, dict[str, Any]]:
    event = AuditEvent.objects.latest("id")
    return event.action, json.loads(event.body)


def told(user: User) -> list[tuple[str, str]]:
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("kind", "text"))


def test_a_thread_is_about_what_is_there(world: Any, dana: User, ravi: User) -> None:
    request = world.in_review()
    write_card(actor=actor(dana), model_name="credit.risk", version=1, sections={"intended_use": "Scores applicants."})
    version = {"model_name": "credit.risk", "version": 1}
    for options, wrong in (
        ({"anchor_kind": "request"}, "x"),
        ({"anchor_kind": "requirement", "anchor": "credit/roc-auc"}, "credit/f1"),
        ({"anchor_kind": "measurement", "anchor": "roc_auc"}, "f1"),
        ({"anchor_kind": "card", "anchor": "intended_use"}, "limits"),
    ):
        assert begin(ravi, request, **options).anchor == options.get("anchor", "")
        with pytest.raises(Invalid) as refused:
            begin(ravi, request, **{**options, "anchor": wrong})
        assert refused.value.code == "no_such_anchor"
    assert begin(ravi, anchor_kind="version", **version).request is None
    assert begin(ravi, anchor_kind="measurement", anchor="roc_auc", **version).request is None
    for kind in ("request", "requirement", "nonsense"):
        with pytest.raises(Invalid):
            begin(ravi, anchor_kind=kind, anchor="credit/roc-auc", **version)
    with pytest.raises(Invalid):
        begin(ravi, request, anchor_kind="version")
    assert Thread.objects.count() == 6


def test_what_one_cannot_see_one_cannot_talk_about(world: Any, ravi: User, mallory: User) -> None:
    request = world.in_review()
    thread = begin(ravi, request)
    comment = thread.comments.get()
    me = actor(mallory)
    for call in (
        lambda: begin(mallory, request),
        lambda: begin(mallory, anchor_kind="version", model_name="credit.risk", version=1),
        lambda: discussion.add_comment(actor=me, thread_id=thread.pk, text="x"),
        lambda: discussion.edit_comment(actor=me, comment_id=comment.pk, text="x"),
        lambda: discussion.delete_comment(actor=me, comment_id=comment.pk),
        lambda: discussion.resolve_thread(actor=me, thread_id=thread.pk),
        lambda: discussion.reopen_thread(actor=me, thread_id=thread.pk),
        lambda: people.threads(me, request_id=request.pk),
        lambda: people.threads(me, model="credit.risk", version=1),
        lambda: people.thread_row(me, thread.pk),
    ):
        with pytest.raises(NotFound):
            call()
    assert Comment.objects.count() == 1


def test_every_step_leaves_one_event_under_the_request(world: Any, dana: User, ravi: User) -> None:
    request = world.in_review()
    before = AuditEvent.objects.count()
    thread = begin(ravi, request)
    comment = discussion.add_comment(actor=actor(dana), thread_id=thread.pk, text="Because.")
    discussion.edit_comment(actor=actor(dana), comment_id=comment.pk, text="Because the year is short.")
    action, body = last_event()
    assert action == "comment.edited"
    assert (body["before"]["text"], body["after"]["text"]) == ("Because.", "Because the year is short.")
    discussion.edit_comment(actor=actor(dana), comment_id=comment.pk, text="Because the year is short.")
    discussion.delete_comment(actor=actor(dana), comment_id=comment.pk)
    action, body = last_event()
    assert (action, body["before"]["text"]) == ("comment.deleted", "Because the year is short.")
    discussion.resolve_thread(actor=actor(ravi), thread_id=thread.pk)
    discussion.reopen_thread(actor=actor(ravi), thread_id=thread.pk)
    events = AuditEvent.objects.order_by("id")[before:]
    assert [e.action for e in events] == [
        "thread.opened", "comment.added", "comment.edited", "comment.deleted", "thread.resolved", "thread.reopened",
    ]  # fmt: skip
    assert {(e.subject_type, e.subject_id) for e in events} == {("promotion_request", str(request.pk))}
    (row,) = people.thread_rows(actor(ravi), people.threads(actor(ravi), request_id=request.pk))
    assert [(c.author, c.text, c.deleted) for c in row.comments] == [("ravi", "Why so few rows?", False), ("dana", "", True)]


def test_only_the_author_changes_a_comment_and_for_a_day_only(world: Any, dana: User, ravi: User, rosa: User) -> None:
    request = world.in_review()
    comment = begin(ravi, request).comments.get()
    for call in (discussion.edit_comment, discussion.delete_comment):
        options = {"text": "x"} if call is discussion.edit_comment else {}
        with pytest.raises(Denied):
            call(actor=actor(rosa), comment_id=comment.pk, **options)
    with time_machine.travel(timezone.now() + timedelta(hours=23), tick=False):
        discussion.edit_comment(actor=actor(ravi), comment_id=comment.pk, text="Still in time.")
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        with pytest.raises(Conflict) as late:
            discussion.edit_comment(actor=actor(ravi), comment_id=comment.pk, text="Too late.")
        assert late.value.code == "too_late_to_edit"
        discussion.delete_comment(actor=actor(ravi), comment_id=comment.pk)
    with pytest.raises(NotFound):
        discussion.edit_comment(actor=actor(ravi), comment_id=comment.pk, text="Gone.")


def test_who_resolves_a_thread(world: Any, dana: User, ravi: User, aude: User) -> None:
    request = world.in_review()
    writer = person("wes", "data-scientist")
    grant(RegisteredModel.objects.get(), "model_write", users=[writer.pk])
    thread = begin(aude, request)
    for user in (ravi, dana, aude):  # a reviewer, who manages the model, who opened it
        discussion.resolve_thread(actor=actor(user), thread_id=thread.pk)
        with pytest.raises(Denied):
            discussion.reopen_thread(actor=actor(writer), thread_id=thread.pk)
        with pytest.raises(Conflict):
            discussion.resolve_thread(actor=actor(user), thread_id=thread.pk)
        assert discussion.reopen_thread(actor=actor(user), thread_id=thread.pk).resolved_by is None
        with pytest.raises(Conflict):
            discussion.reopen_thread(actor=actor(user), thread_id=thread.pk)
    with pytest.raises(Denied):
        discussion.resolve_thread(actor=actor(writer), thread_id=thread.pk)
    shown = {user.username: people.thread_row(actor(user), thread.pk).may_resolve for user in (ravi, dana, aude, writer)}
    assert shown == {"ravi": True, "dana": True, "aude": True, "wes": False}


@pytest.mark.parametrize(
    ("text", "spoken_to"),
    [
        ("@rosa look", ["rosa"]),
        ("ask @rosa, @olga.b and (@rosa).", ["olga.b", "rosa"]),
        ("@olga.b.", ["olga.b"]),
        ("@olga", []),
        ("mail rosa@example.org or x@rosa", []),
        ("@mallory and @nobody", []),
        ("@bot", []),
        ("@Rosa", []),
        ("@gone", []),
    ],
)
def test_a_mention_speaks_to_who_may_see_the_model(
    world: Any, ravi: User, rosa: User, mallory: User, text: str, spoken_to: list[str]
) -> None:
    person("olga.b", "auditor")
    core_commands.ensure_user(actor=ROOT, username="bot", roles=["auditor"], service_of="rosa")
    gone = person("gone", "reviewer")
    gone.is_active = False
    gone.save()
    request = world.in_review()
    Notification.objects.all().delete()
    comment = begin(ravi, request, text=text).comments.get()
    assert comment.mentions == spoken_to
    assert sorted(n.user.username for n in Notification.objects.filter(kind="mention")) == spoken_to
    assert told(mallory) == []


def test_a_grant_on_the_model_is_enough_to_be_spoken_to(world: Any, ravi: User, mallory: User) -> None:
    request = world.in_review()
    begin(ravi, request, text="@mallory ?")
    assert told(mallory) == []
    grant(RegisteredModel.objects.get(), "model_read", users=[mallory.pk])
    begin(ravi, request, text="@mallory ?")
    assert told(mallory) == [("mention", f"Ravi Example in {request.reference}: @mallory ?")]


def test_nobody_is_told_twice_nor_of_their_own_words(world: Any, dana: User, ravi: User, rosa: User) -> None:
    request = world.in_review()
    Notification.objects.all().delete()
    thread = begin(ravi, request, text="@ravi @rosa @rosa @dana look")
    assert [kind for kind, _ in told(rosa)] == ["mention"] == [kind for kind, _ in told(dana)]
    assert told(ravi) == []
    comment = discussion.add_comment(actor=actor(dana), thread_id=thread.pk, text="Yes.")
    assert [kind for kind, _ in told(ravi)] == ["comment"]
    discussion.edit_comment(actor=actor(dana), comment_id=comment.pk, text="Yes, @rosa and @ravi.")
    discussion.edit_comment(actor=actor(dana), comment_id=comment.pk, text="Yes, @rosa and @ravi!")
    assert [kind for kind, _ in told(rosa)] == ["mention", "mention"]
    assert [kind for kind, _ in told(ravi)] == ["comment", "mention"]
    assert {n.path for n in Notification.objects.all()} == {f"/requests/{request.pk}/"}


def test_who_asked_hears_of_a_thread_unless_they_may_not_see_it_any_more(world: Any, dana: User, ravi: User) -> None:
    request = world.in_review()
    Notification.objects.all().delete()
    begin(ravi, request)
    assert [kind for kind, _ in told(dana)] == ["comment"]
    request.model.modeluserpermission_set.all().delete()
    begin(ravi, request)
    assert len(told(dana)) == 1


def test_too_many_mentions_and_empty_or_endless_texts_are_refused(world: Any, ravi: User) -> None:
    request = world.in_review()
    for text in (" ", "x" * (discussion.LONGEST + 1), " ".join(f"@p{i}" for i in range(discussions.MOST_MENTIONS + 1))):
        with pytest.raises(Invalid):
            begin(ravi, request, text=text)
    assert not Thread.objects.exists()


def test_a_policy_that_asks_for_it_waits_for_the_threads(
    world: Any, dana: User, pat: User, ravi: User, rosa: User, review: Any
) -> None:
    publish_policy(actor=actor(pat), document=POLICY.replace("steps:", RESOLVED + "steps:"))
    request = world.in_review()
    thread = begin(dana, request)
    facts = discussions.facts(request)
    assert (facts.threads, facts.unresolved) == (1, 1)
    assert Job.objects.filter(name=ADVANCE, state="queued", arguments__request_id=request.pk).exists()
    review(ravi, request)
    review(rosa, request)
    request.refresh_from_db()
    assert request.state == "in_review"
    discussion.resolve_thread(actor=actor(dana), thread_id=thread.pk)
    assert (discussions.facts(request).threads, discussions.facts(request).unresolved) == (1, 0)
    world.finish(request)
    request.refresh_from_db()
    assert request.state == "approved"


def test_threads_cost_the_same_however_many_there_are(world: Any, dana: User, ravi: User, django_assert_num_queries: Any) -> None:
    request = world.in_review()
    me = actor(dana)

    def shown() -> int:
        return len(people.thread_rows(me, people.threads(me, request_id=request.pk)))

    begin(ravi, request)
    with django_assert_num_queries(4):
        assert shown() == 1
    for i in range(5):
        thread = begin(ravi, request)
        for j in range(i):
            discussion.add_comment(actor=me, thread_id=thread.pk, text=f"{j}")
    with django_assert_num_queries(4):
        assert shown() == 6
    with django_assert_num_queries(1):
        assert discussions.facts(request).threads == 6
