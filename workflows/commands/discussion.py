"""Talk about a request or a version, where everybody who decides can read it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import quote

from django.db import transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from registry.models import ModelVersion
from workflows import discussions, notifications
from workflows.lifecycle import wake
from workflows.models import OPEN_STATES, Comment, PromotionRequest, Thread

EDITABLE = timedelta(hours=24)
LONGEST = 10_000


@transaction.atomic
def open_thread(
    *,
    actor: Actor,
    anchor_kind: str,
    text: str,
    anchor: str = "",
    request_id: int | None = None,
    model_name: str = "",
    version: int = 0,
) -> Thread:
    """Begin a discussion on a request, or on a version without one, with its first comment. Whoever sees the model may.

    anchor: ``policy/requirement``, a measurement as requirements name it, or a section of the card.
    Raises NotFound, Invalid for an anchor that is not there.
    """
    request, about = _subject(actor, request_id, model_name, version)
    place = discussions.anchored(about, request, anchor_kind, anchor)
    thread = Thread.objects.create(
        version=about,
        request=request,
        anchor_kind=anchor_kind,
        anchor=place,
        opened_by_id=_person(actor),
        opened_at=timezone.now(),
    )
    comment = _write(actor, thread, text)
    _record(actor, Event.THREAD_OPENED, thread, after={**_place(thread), **_written(comment)})
    asker = request.requested_by if request else about.created_by
    _tell(actor, comment, comment.mentions, concerned=asker.username if asker else "")
    _judge_again(thread)
    return thread


@transaction.atomic
def add_comment(*, actor: Actor, thread_id: int, text: str) -> Comment:
    """Add to a discussion. A resolved one stays resolved."""
    thread = _thread(actor, thread_id)
    comment = _write(actor, thread, text)
    _record(actor, Event.COMMENT_ADDED, thread, after={"thread": thread.pk, **_written(comment)})
    _tell(actor, comment, comment.mentions, concerned=thread.opened_by.username)
    return comment


@transaction.atomic
def edit_comment(*, actor: Actor, comment_id: int, text: str) -> Comment:
    """Change one's own comment within a day; the text before stays in the audit event. Only who is newly spoken to is told."""
    comment = _own(actor, comment_id)
    if timezone.now() - comment.created_at > EDITABLE:
        raise Conflict("A comment can be changed for 24 hours; add another one.", code="too_late_to_edit")
    before, spoken_to = comment.text, set(comment.mentions)
    comment.text = _checked(text)
    if comment.text == before:
        return comment
    comment.mentions = _mentions(comment)
    comment.edited_at = timezone.now()
    comment.save(update_fields=["text", "mentions", "edited_at"])
    told = {"thread": comment.thread_id, "comment": comment.pk}
    _record(actor, Event.COMMENT_EDITED, comment.thread, before={**told, "text": before}, after={**told, "text": comment.text})
    _tell(actor, comment, set(comment.mentions) - spoken_to)
    return comment


@transaction.atomic
def delete_comment(*, actor: Actor, comment_id: int) -> None:
    """Take one's own comment out of the discussion; its text stays in the audit event alone."""
    comment = _own(actor, comment_id)
    before = {"thread": comment.thread_id, "comment": comment.pk, "text": comment.text}
    Comment.objects.filter(pk=comment.pk).update(text="", mentions=[], deleted_at=timezone.now())
    _record(actor, Event.COMMENT_DELETED, comment.thread, before=before)


@transaction.atomic
def resolve_thread(*, actor: Actor, thread_id: int) -> Thread:
    """Close a discussion: who opened it may, a reviewer, and who manages the model."""
    thread = _thread(actor, thread_id)
    _require_say(actor, thread)
    if thread.resolved_at is not None:
        raise Conflict("The thread is resolved already.", code="resolved_already")
    thread.resolved_by_id, thread.resolved_at = _person(actor), timezone.now()
    thread.save(update_fields=["resolved_by", "resolved_at"])
    _record(actor, Event.THREAD_RESOLVED, thread, after=_place(thread))
    _judge_again(thread)
    return thread


@transaction.atomic
def reopen_thread(*, actor: Actor, thread_id: int) -> Thread:
    """Take a resolved discussion up again: the same people may."""
    thread = _thread(actor, thread_id)
    _require_say(actor, thread)
    if thread.resolved_at is None:
        raise Conflict("The thread is open.", code="not_resolved")
    thread.resolved_by, thread.resolved_at = None, None
    thread.save(update_fields=["resolved_by", "resolved_at"])
    _record(actor, Event.THREAD_REOPENED, thread, after=_place(thread))
    _judge_again(thread)
    return thread


def _subject(actor: Actor, request_id: int | None, model_name: str, version: int) -> tuple[PromotionRequest | None, ModelVersion]:
    if request_id is not None:
        requests = PromotionRequest.objects.select_related("version__model", "requested_by")
        request = access.visible(actor, requests, Permission.MODEL_READ, "model").filter(pk=request_id).first()
        if request is None:
            raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
        return request, request.version
    versions = ModelVersion.objects.select_related("model", "created_by").filter(deleted_at=None, model__deleted_at=None)
    found = access.visible(actor, versions, Permission.MODEL_READ, "model").filter(model__name=model_name, number=version).first()
    if found is None:
        raise NotFound(f"There is no version {version} of {model_name!r}, or you may not see it.")
    return None, found


def _thread(actor: Actor, thread_id: int) -> Thread:
    rows = Thread.objects.select_for_update(of=("self",)).select_related("version__model", "request", "opened_by")
    found = access.visible(actor, rows, Permission.MODEL_READ, "version__model").filter(pk=thread_id).first()
    if found is None:
        raise NotFound(f"There is no thread {thread_id}, or you may not see it.")
    return found


def _own(actor: Actor, comment_id: int) -> Comment:
    rows = Comment.objects.select_for_update(of=("self",)).select_related("thread__version__model", "thread__request")
    found = (
        access.visible(actor, rows, Permission.MODEL_READ, "thread__version__model")
        .filter(pk=comment_id, deleted_at=None)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no comment {comment_id}, or you may not see it.")
    if found.author_id != actor.user_id:
        raise Denied("Only its author changes or deletes a comment; answer it instead.")
    return found


def _require_say(actor: Actor, thread: Thread) -> None:
    if thread.opened_by_id == actor.user_id or actor.grants(Permission.PROMOTION_REVIEW):
        return
    if not access.explain(actor, Permission.MODEL_MANAGE, thread.version.model).allowed:
        raise Denied("Who opened a thread, a reviewer or who manages the model resolves it and takes it up again.")


def _write(actor: Actor, thread: Thread, text: str) -> Comment:
    comment = Comment(thread=thread, author_id=_person(actor), text=_checked(text), created_at=timezone.now())
    comment.mentions = _mentions(comment)
    comment.save()
    return comment


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid("Write something: a comment needs a text.")
    if len(text) > LONGEST:
        raise Invalid(f"A comment has at most {LONGEST} characters; this one has {len(text)}.")
    return text


def _mentions(comment: Comment) -> list[str]:
    return [user.username for user in discussions.mentioned(comment.text, comment.thread.version.model)]


def _person(actor: Actor) -> int:
    if actor.user_id is None:
        raise Denied("Only a person or a service account takes part in a discussion.")
    return actor.user_id


def _tell(actor: Actor, comment: Comment, mentions: Iterable[str], concerned: str = "") -> None:
    """Tell who is spoken to; and one more whom the thread concerns, unless they wrote it themselves or may not see it any more."""
    thread, model = comment.thread, comment.thread.version.model
    spoken_to = set(mentions) - {actor.username}
    where = thread.request.reference if thread.request else str(thread.version)
    path = (
        f"/requests/{thread.request_id}/"
        if thread.request_id
        else f"/models/{quote(model.name)}/versions/{thread.version.number}/"
    )
    text = f"{actor.display_name or actor.username} in {where}: {comment.text}"
    users = discussions.readers((spoken_to | {concerned}) - {actor.username}, model)
    for kind, people in (
        (notifications.MENTION, [user for user in users if user.username in spoken_to]),
        ("comment", [user for user in users if user.username not in spoken_to]),
    ):
        notifications.tell(people, thread.request, kind, text, path)


def _judge_again(thread: Thread) -> None:
    """Have the request judged again: a policy may ask that nothing is left unresolved."""
    if thread.request is not None and thread.request.state in OPEN_STATES:
        wake(thread.request.pk)


def _place(thread: Thread) -> dict[str, object]:
    return {"thread": thread.pk, "about": thread.anchor_kind, "anchor": thread.anchor}


def _written(comment: Comment) -> dict[str, object]:
    about = comment.thread.version
    return {"comment": comment.pk, "text": comment.text, "model": about.model.name, "version": about.number}


def _record(
    actor: Actor, event: Event, thread: Thread, before: dict[str, object] | None = None, after: dict[str, object] | None = None
) -> None:
    """Record a change under the request, or under the version without one, where its readers look for it."""
    version = thread.version
    subject: tuple[str, object] = ("model_version", f"{version.model.name}/{version.number}")
    if thread.request_id is not None:
        subject = ("promotion_request", thread.request_id)
    audit.record(actor, event, subject=subject, scope=f"model:{version.model_id}", before=before, after=after)
