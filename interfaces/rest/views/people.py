"""What waits for whom, who stands in for whom, what is being talked about, and whose rights conflict."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from core.access import Actor
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, Nothing, describe, read, read_query
from interfaces.rest.errors import BadQuery
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page, page_size
from interfaces.rest.rendering import Listing
from workflows.commands import delegations as delegation_commands
from workflows.commands import discussion
from workflows.commands import inbox as inbox_commands
from workflows.models import Thread, ThreadAnchor
from workflows.queries import inbox as inbox_queries
from workflows.queries import people
from workflows.queries.inbox import Inbox, TaskRow
from workflows.queries.people import CommentRow, ConflictRow, DelegationRow, NotificationRow, ThreadRow


@dataclass(frozen=True)
class Marked:
    """How many notifications were marked as read."""

    marked: int


@dataclass(frozen=True)
class MailChoice:
    """Whether an account gets mail about what waits for it."""

    wanted: bool


class TaskFilter(Input):
    whose = serializers.ChoiceField(
        inbox_queries.WHOSE,
        default="me",
        help_text="me: what waits on you. others: what waits for your groups and somebody else took on. escalated: what is late and "
        "escalates to a group of yours.",
    )


class NotificationFilter(Input):
    unread = serializers.BooleanField(default=False, help_text="Only what you have not read.")
    kind = serializers.CharField(required=False, max_length=40, help_text="Such as review, mention or overdue.")


class Read(Input):
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=1000,
        help_text="Of notifications; all of yours unless given.",
    )


class Mail(Input):
    wanted = serializers.BooleanField()


class DelegationFilter(Input):
    person = serializers.CharField(required=False, help_text="An account's name: those it gives or holds.")
    current = serializers.BooleanField(required=False, allow_null=True, default=None, help_text="Whether it is not over yet.")


class NewDelegation(Input):
    delegate = serializers.CharField(max_length=150, help_text="The account that stands in.")
    delegator = serializers.CharField(
        required=False, max_length=150, help_text="Whose place is taken; yours unless given. Another's takes a platform admin."
    )
    groups = serializers.ListField(
        required=False,
        child=serializers.CharField(max_length=150),
        max_length=100,
        help_text="All of the delegator's unless given.",
    )
    starts_at = serializers.DateTimeField(required=False, help_text="Now unless given.")
    ends_at = serializers.DateTimeField(help_text="At most 90 days after it starts.")
    reason = serializers.CharField(max_length=10_000)


class NewRequestThread(Input):
    anchor_kind = serializers.ChoiceField(
        [kind.value for kind in ThreadAnchor if kind != ThreadAnchor.VERSION], default=ThreadAnchor.REQUEST.value
    )
    anchor = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=300,
        help_text="`policy/requirement`, a measurement as requirements name it, or a section of the card.",
    )
    text = serializers.CharField(max_length=discussion.LONGEST, help_text="@name speaks to somebody who may see the model.")


class NewVersionThread(NewRequestThread):
    anchor_kind = serializers.ChoiceField(
        [ThreadAnchor.VERSION.value, ThreadAnchor.MEASUREMENT.value, ThreadAnchor.CARD.value], default=ThreadAnchor.VERSION.value
    )


class NewComment(Input):
    text = serializers.CharField(max_length=discussion.LONGEST, help_text="@name speaks to somebody who may see the model.")


class MyInbox(Endpoint):
    @describe("inbox", response=Inbox)
    def get(self, request: Request) -> Response:
        """Return your inbox, the most pressing first and at most 100 of each kind: what waits on you, what you asked for, and so on."""
        return Response(inbox_queries.inbox(actor_of(request)))


class InboxTasks(Endpoint):
    @describe("list_tasks", query=TaskFilter, response=Listing[TaskRow], paged=True)
    def get(self, request: Request) -> Response:
        """List reviews that wait for you or your groups, the most pressing first."""
        whose, size = read_query(TaskFilter, request, paged=True)["whose"], page_size(request)
        cursor = request.query_params.get("cursor", "")
        try:
            after = inbox_queries.parse_key(cursor) if cursor else None
        except ValueError:
            raise BadQuery({"cursor": ["Follow `next` of a page as it is; a cursor cannot be made up."]}) from None
        rows = inbox_queries.tasks(actor_of(request), whose=whose, after=after, limit=size + 1)
        following = None
        if len(rows) > size:
            following = replace_query_param(request.build_absolute_uri(), "cursor", rows[size - 1].key)
        return Response(Listing(rows[:size], following))


class ClaimTask(Endpoint):
    @describe("claim_task", body=Nothing, response=TaskRow)
    def post(self, request: Request, number: int) -> Response:
        """Take on a review for two business days. Others of the group see it, and may review all the same."""
        read(Nothing, request)
        actor = actor_of(request)
        inbox_commands.claim_task(actor=actor, task_id=number)
        return Response(inbox_queries.task(actor, number))


class ReleaseTask(Endpoint):
    @describe("release_task", body=Nothing, response=TaskRow)
    def post(self, request: Request, number: int) -> Response:
        """Give a review that you took on back to the group."""
        read(Nothing, request)
        actor = actor_of(request)
        inbox_commands.release_task(actor=actor, task_id=number)
        return Response(inbox_queries.task(actor, number))


class Notifications(Endpoint):
    @describe("list_notifications", query=NotificationFilter, response=Listing[NotificationRow], paged=True)
    def get(self, request: Request) -> Response:
        """List what you were told, newest first."""
        rows = people.notifications(actor_of(request), **read_query(NotificationFilter, request, paged=True))
        ordering = ["-created_at", "-id"]
        return Response(page(request, rows, ordering=ordering, show=lambda found: map(people.notification_row, found)))


class ReadNotifications(Endpoint):
    @describe("read_notifications", body=Read, response=Marked)
    def post(self, request: Request) -> Response:
        """Mark what you were told as read; it will not be mailed any more."""
        ids = read(Read, request).get("ids")
        return Response(Marked(inbox_commands.read_notifications(actor=actor_of(request), ids=ids)))


class MyMail(Endpoint):
    @describe("mail_choice", response=MailChoice)
    def get(self, request: Request) -> Response:
        """Say whether you get mail about what waits for you."""
        return Response(MailChoice(people.mail_wanted(actor_of(request))))

    @describe("choose_mail", body=Mail, response=MailChoice)
    def put(self, request: Request) -> Response:
        """Choose whether you get mail about what waits for you."""
        wanted = read(Mail, request)["wanted"]
        inbox_commands.set_mail_wanted(actor=actor_of(request), wanted=wanted)
        return Response(MailChoice(wanted))


class Delegations(Endpoint):
    @describe("list_delegations", query=DelegationFilter, response=Listing[DelegationRow], paged=True)
    def get(self, request: Request) -> Response:
        """List who stands in for whom, newest first: your own, or everybody's for who manages accounts or audits."""
        rows = people.delegations(actor_of(request), **read_query(DelegationFilter, request, paged=True))
        ordering = ["-created_at", "-id"]
        return Response(page(request, rows, ordering=ordering, show=lambda found: map(people.delegation_row, found)))

    @describe("create_delegation", body=NewDelegation, response=DelegationRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Let somebody review in your place for a time."""
        made = delegation_commands.create_delegation(actor=actor_of(request), **read(NewDelegation, request))
        row = people.delegation_row(people.delegations(actor_of(request)).get(pk=made.pk))
        return Response(row, status=201)


class RevokeDelegation(Endpoint):
    @describe("revoke_delegation", body=Nothing, response=DelegationRow)
    def post(self, request: Request, number: int) -> Response:
        """End a delegation before its time; reviews that were given under it stand."""
        read(Nothing, request)
        delegation_commands.revoke_delegation(actor=actor_of(request), delegation_id=number)
        return Response(people.delegation_row(people.delegations(actor_of(request)).get(pk=number)))


class RequestThreads(Endpoint):
    @describe("list_request_threads", response=Listing[ThreadRow], paged=True)
    def get(self, request: Request, request_id: int) -> Response:
        """List the discussions of a request with everything that was said, oldest first."""
        actor = actor_of(request)
        rows = people.threads(actor, request_id=request_id)
        return Response(page(request, rows, ordering=["opened_at", "id"], show=lambda found: people.thread_rows(actor, found)))

    @describe("open_request_thread", body=NewRequestThread, response=ThreadRow, status=201, once=True)
    @idempotent
    def post(self, request: Request, request_id: int) -> Response:
        """Begin a discussion on a request, a requirement, a measurement or a section of the card."""
        actor = actor_of(request)
        made = discussion.open_thread(actor=actor, request_id=request_id, **read(NewRequestThread, request))
        return _opened(actor, made)


class VersionThreads(Endpoint):
    @describe("list_version_threads", response=Listing[ThreadRow], paged=True)
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the discussions of a version and of its requests, oldest first."""
        actor = actor_of(request)
        rows = people.threads(actor, model=name, version=number)
        return Response(page(request, rows, ordering=["opened_at", "id"], show=lambda found: people.thread_rows(actor, found)))

    @describe("open_version_thread", body=NewVersionThread, response=ThreadRow, status=201, once=True)
    @idempotent
    def post(self, request: Request, name: str, number: int) -> Response:
        """Begin a discussion on a version, one of its measurements or a section of its card."""
        actor = actor_of(request)
        made = discussion.open_thread(actor=actor, model_name=name, version=number, **read(NewVersionThread, request))
        return _opened(actor, made)


class OneThread(Endpoint):
    @describe("thread", response=ThreadRow)
    def get(self, request: Request, number: int) -> Response:
        """Return a discussion with everything that was said."""
        return Response(people.thread_row(actor_of(request), number))


class ThreadComments(Endpoint):
    @describe("add_comment", body=NewComment, response=CommentRow, status=201, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Add to a discussion."""
        made = discussion.add_comment(actor=actor_of(request), thread_id=number, **read(NewComment, request))
        return Response(people.comment_row(made), status=201)


class ResolveThread(Endpoint):
    @describe("resolve_thread", body=Nothing, response=ThreadRow)
    def post(self, request: Request, number: int) -> Response:
        """Close a discussion: who opened it may, a reviewer, and who manages the model."""
        read(Nothing, request)
        actor = actor_of(request)
        discussion.resolve_thread(actor=actor, thread_id=number)
        return Response(people.thread_row(actor, number))


class ReopenThread(Endpoint):
    @describe("reopen_thread", body=Nothing, response=ThreadRow)
    def post(self, request: Request, number: int) -> Response:
        """Take a resolved discussion up again."""
        read(Nothing, request)
        actor = actor_of(request)
        discussion.reopen_thread(actor=actor, thread_id=number)
        return Response(people.thread_row(actor, number))


class OneComment(Endpoint):
    @describe("edit_comment", body=NewComment, response=CommentRow)
    def patch(self, request: Request, number: int) -> Response:
        """Change your own comment within a day; the audit log keeps the text before."""
        changed = discussion.edit_comment(actor=actor_of(request), comment_id=number, **read(NewComment, request))
        return Response(people.comment_row(changed))

    @describe("delete_comment", status=204)
    def delete(self, request: Request, number: int) -> Response:
        """Take your own comment out; its text stays in the audit log alone."""
        discussion.delete_comment(actor=actor_of(request), comment_id=number)
        return Response(status=204)


class Conflicts(Endpoint):
    @describe("list_role_conflicts", response=list[ConflictRow])
    def get(self, request: Request) -> Response:
        """List accounts that hold two rights which one account should not hold together, and why. For auditors and admins."""
        return Response(people.role_conflicts(actor_of(request)))


def _opened(actor: Actor, made: Thread) -> Response:
    address = reverse("rest:thread", kwargs={"number": made.pk})
    return Response(people.thread_row(actor, made.pk), status=201, headers={"Location": address})
