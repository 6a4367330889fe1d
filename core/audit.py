"""The only writer of audit events: one for each state change, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone

from core import sql
from core.access import Actor
from core.canonical import canonical
from core.models import AuditEvent


class Event(StrEnum):
    """What can be recorded, as ``resource.past_tense``. Names are written into the ledger: never rename one."""

    USER_CREATED = "user.created"
    USER_ROLES_CHANGED = "user.roles_changed"
    USER_EMAIL_CHANGED = "user.email_changed"
    USER_PASSWORD_CHANGED = "user.password_changed"
    TOKEN_ISSUED = "token.issued"
    TOKEN_REVOKED = "token.revoked"
    ACCESS_GRANTED = "access.granted"
    ACCESS_REVOKED = "access.revoked"
    ACCESS_REFUSED = "access.refused"
    ARTIFACT_STORED = "artifact.stored"
    ARTIFACT_DELETED = "artifact.deleted"
    EXPERIMENT_CREATED = "experiment.created"
    EXPERIMENT_UPDATED = "experiment.updated"
    EXPERIMENT_DELETED = "experiment.deleted"
    EXPERIMENT_RESTORED = "experiment.restored"
    EXPERIMENT_TAGGED = "experiment.tagged"
    EXPERIMENT_IMPORTED = "experiment.imported"
    RUN_CREATED = "run.created"
    RUN_UPDATED = "run.updated"
    RUN_DELETED = "run.deleted"
    RUN_RESTORED = "run.restored"
    RUN_LOGGED = "run.logged"
    RUN_TAGGED = "run.tagged"
    RUN_INPUTS_LOGGED = "run.inputs_logged"
    RUN_IMPORTED = "run.imported"
    LOGGED_MODEL_CREATED = "logged_model.created"
    LOGGED_MODEL_UPDATED = "logged_model.updated"
    LOGGED_MODEL_DELETED = "logged_model.deleted"
    LOGGED_MODEL_IMPORTED = "logged_model.imported"
    TRACE_LOGGED = "trace.logged"
    TRACE_TAGGED = "trace.tagged"
    TRACE_ASSESSED = "trace.assessed"
    TRACE_DELETED = "trace.deleted"
    MODEL_CREATED = "model.created"
    MODEL_UPDATED = "model.updated"
    MODEL_RENAMED = "model.renamed"
    MODEL_DELETED = "model.deleted"
    MODEL_TAGGED = "model.tagged"
    MODEL_IMPORTED = "model.imported"
    VERSION_REGISTERED = "version.registered"
    VERSION_UPDATED = "version.updated"
    VERSION_DELETED = "version.deleted"
    VERSION_TAGGED = "version.tagged"
    VERSION_IMPORTED = "version.imported"
    STAGE_ASSIGNED = "stage.assigned"
    ALIAS_ASSIGNED = "alias.assigned"
    ALIAS_REMOVED = "alias.removed"
    PLACE_GRANDFATHERED = "place.grandfathered"
    SERVER_IMPORTED = "server.imported"
    SERVER_EXPORTED = "server.exported"
    DATASET_REGISTERED = "dataset.registered"
    DATASET_CONTRACT_PUBLISHED = "dataset.contract_published"
    LINEAGE_RECORDED = "lineage.recorded"
    POLICY_PUBLISHED = "policy.published"
    BINDING_CREATED = "binding.created"
    BINDING_ENDED = "binding.ended"
    PARAMETERS_PUBLISHED = "parameters.published"
    GATE_EVALUATED = "gate.evaluated"
    WAIVER_REQUESTED = "waiver.requested"
    WAIVER_APPROVED = "waiver.approved"
    WAIVER_REFUSED = "waiver.refused"
    WAIVER_REVOKED = "waiver.revoked"
    WAIVER_EXPIRED = "waiver.expired"
    FINDING_RAISED = "finding.raised"
    FINDING_UPDATED = "finding.updated"
    FINDING_CLOSED = "finding.closed"
    FINDING_REOPENED = "finding.reopened"
    QUESTIONNAIRE_PUBLISHED = "questionnaire.published"
    TIER_ASSESSED = "tier.assessed"
    TIER_OVERRIDE_PROPOSED = "tier.override_proposed"
    TIER_OVERRIDE_CONFIRMED = "tier.override_confirmed"
    TIER_OVERRIDE_REFUSED = "tier.override_refused"
    CARD_WRITTEN = "card.written"
    CHECK_QUEUED = "check.queued"
    CHECK_FINISHED = "check.finished"
    CHECK_CANCELLED = "check.cancelled"
    CHECK_REPORTED = "check.reported"
    SIGNING_KEY_REGISTERED = "signing_key.registered"
    SIGNING_KEY_REVOKED = "signing_key.revoked"
    PROMOTION_REQUESTED = "promotion.requested"
    PROMOTION_DRAFTED = "promotion.drafted"
    PROMOTION_REBASED = "promotion.rebased"
    PROMOTION_CHECKS_STARTED = "promotion.checks_started"
    PROMOTION_READY = "promotion.ready_for_review"
    PROMOTION_REVIEWED = "promotion.reviewed"
    PROMOTION_APPROVED = "promotion.approved"
    PROMOTION_EXECUTING = "promotion.executing"
    PROMOTION_REOPENED = "promotion.reopened"
    PROMOTION_EXECUTED = "promotion.executed"
    PROMOTION_REJECTED = "promotion.rejected"
    PROMOTION_CHANGES_REQUESTED = "promotion.changes_requested"
    PROMOTION_RESUBMITTED = "promotion.resubmitted"
    PROMOTION_WITHDRAWN = "promotion.withdrawn"
    PROMOTION_EXPIRED = "promotion.expired"
    PROMOTION_SUPERSEDED = "promotion.superseded"
    PROMOTION_FAILED = "promotion.failed"
    DELEGATION_CREATED = "delegation.created"
    DELEGATION_REVOKED = "delegation.revoked"
    FREEZE_CREATED = "freeze.created"
    FREEZE_ENDED = "freeze.ended"
    CALENDAR_CHANGED = "calendar.changed"
    BREAK_GLASS_REQUESTED = "break_glass.requested"
    BREAK_GLASS_CONFIRMED = "break_glass.confirmed"
    BREAK_GLASS_REFUSED = "break_glass.refused"
    BREAK_GLASS_REVERTED = "break_glass.reverted"
    BREAK_GLASS_REVIEWED = "break_glass.reviewed"
    RE_REVIEW_OPENED = "re_review.opened"
    RE_REVIEW_CLOSED = "re_review.closed"
    RE_REVIEW_OVERDUE = "re_review.overdue"
    TASK_CLAIMED = "task.claimed"
    TASK_RELEASED = "task.released"
    TASK_ESCALATED = "task.escalated"
    THREAD_OPENED = "thread.opened"
    THREAD_RESOLVED = "thread.resolved"
    THREAD_REOPENED = "thread.reopened"
    COMMENT_ADDED = "comment.added"
    COMMENT_EDITED = "comment.edited"
    COMMENT_DELETED = "comment.deleted"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_REDELIVERED = "webhook.redelivered"
    REPORT_READ = "report.read"


# By hand, since every write of every client waits for it.
_COLUMNS = "occurred_at, action, actor, subject_type, subject_id, scope, request_id, body"
_VALUES = "%s, %s, %s, %s, %s, %s, %s, %s"
_INTO = f"INSERT INTO {AuditEvent._meta.db_table} ({_COLUMNS})"
_INSERT = f"{_INTO} VALUES ({_VALUES})"


@dataclass(frozen=True)
class Change:
    """What an event tells of one subject; fields as in ``record``."""

    subject: tuple[str, object]
    scope: str = ""
    before: Any = None
    after: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)


def record(
    actor: Actor,
    event: Event,
    *,
    subject: tuple[str, object],
    scope: str = "",
    before: Any = None,
    after: Any = None,
    beside: Sequence[sql.Statement] = (),
    **details: Any,
) -> None:
    """Insert one event. It takes no lock: its place in the ledger is given later, in batches, to what was committed.

    subject: (type, id), such as ``("model_version", "credit/3")``. before, after, details: JSON values without NaN;
    integers beyond 2^53 as text. scope: the registered model or experiment the event belongs to, for searching.
    beside: statements of the change itself that nothing waits for, which ``sql.run_all`` carries out with the event's own, so that
    a change that is nothing else needs no transaction around it.
    Raises RuntimeError outside a transaction with nothing beside it: an event apart from its change would prove nothing.
    """
    if not beside:
        _require_transaction(event)
    (row,) = _rows(actor, event, [Change(subject, scope, before, after, details)])
    sql.run_all([*beside, (_INSERT, row)])


def insertion(actor: Actor, event: Event, change: Change, source: str) -> sql.Statement:
    """Return the statement that inserts an event if the source has a row: for a change that is one statement, and may find nothing."""
    (row,) = _rows(actor, event, [change])
    return f"{_INTO} SELECT {_VALUES} FROM {source}", row


def record_many(actor: Actor, event: Event, changes: Iterable[Change]) -> None:
    """Insert one event of a kind for each of many subjects that one transaction changed.

    Raises RuntimeError outside a transaction.
    """
    _require_transaction(event)
    sql.run_many(_INSERT, _rows(actor, event, changes))


def _require_transaction(event: Event) -> None:
    if not sql.database().in_atomic_block:
        raise RuntimeError(f"{event} was recorded outside a transaction")


def _rows(actor: Actor, event: Event, changes: Iterable[Change]) -> list[list[Any]]:
    now = timezone.now()
    at = sql.database().ops.adapt_datetimefield_value(now)
    return [
        [
            at,
            event.value,
            actor.username,
            change.subject[0],
            str(change.subject[1]),
            change.scope,
            actor.request_id,
            _body(actor, event, change, now),
        ]
        for change in changes
    ]


def _body(actor: Actor, event: Event, change: Change, now: datetime) -> str:
    body: dict[str, Any] = {
        "action": event.value,
        "actor": {
            "id": actor.user_id,
            "name": actor.username,
            "roles": sorted(actor.roles),
            "credential": actor.credential,
            "on_behalf_of": actor.responsible,
        },
        "occurred_at": now.isoformat(timespec="microseconds"),
        "request_id": actor.request_id,
        "scope": change.scope,
        "subject": {"type": change.subject[0], "id": str(change.subject[1])},
    }
    if change.before is not None:
        body["before"] = change.before
    if change.after is not None:
        body["after"] = change.after
    if change.details:
        body["details"] = dict(change.details)
    return canonical(body)
