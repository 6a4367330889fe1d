"""The events there are, what each means, and which of them an endpoint asks for."""

from __future__ import annotations

from collections.abc import Iterable

from core.audit import Event
from core.errors import Invalid

TYPE_PREFIX = "countersign."
TEST_TYPE = "countersign.webhook.test"
MOST_PATTERNS = 100

# As docs/audit-events.md has it, which is no part of what is deployed.
MEANINGS: dict[Event, str] = {
    Event.USER_CREATED: "an account was made",
    Event.USER_ROLES_CHANGED: "an account got roles or groups; before and after are kept",
    Event.USER_EMAIL_CHANGED: "an account's mail address was set; before and after are kept",
    Event.USER_PASSWORD_CHANGED: "an account's password was set; the password is not in the event",
    Event.TOKEN_ISSUED: "an API token was made: its prefix, name and end, never its secret",
    Event.TOKEN_REVOKED: "an API token was ended before its time",
    Event.ACCESS_GRANTED: "a right on one model or experiment was given to people or groups, or promised to a name without account",
    Event.ACCESS_REVOKED: "a right on one model or experiment was taken away",
    Event.ACCESS_REFUSED: "somebody tried what they may not do, or what a policy forbids",
    Event.ARTIFACT_STORED: "a file was put into a run's or logged model's artifacts",
    Event.ARTIFACT_DELETED: "a file was removed from a run's artifacts; a registered version keeps its own",
    Event.EXPERIMENT_CREATED: "an experiment was made",
    Event.EXPERIMENT_UPDATED: "an experiment was renamed",
    Event.EXPERIMENT_DELETED: "an experiment was deleted; it can be restored",
    Event.EXPERIMENT_RESTORED: "a deleted experiment was brought back",
    Event.EXPERIMENT_TAGGED: "tags of an experiment were set or removed",
    Event.EXPERIMENT_IMPORTED: "an experiment was brought over from another server, or what changed of it there",
    Event.RUN_CREATED: "a run began",
    Event.RUN_UPDATED: "a run was renamed, or its status or end changed",
    Event.RUN_DELETED: "a run was deleted; it can be restored",
    Event.RUN_RESTORED: "a deleted run was brought back",
    Event.RUN_LOGGED: "parameters or metrics were logged to a run",
    Event.RUN_TAGGED: "tags of a run were set or removed",
    Event.RUN_INPUTS_LOGGED: "the data sets or models that a run used or made were noted",
    Event.RUN_IMPORTED: "a run was brought over from another server: how much it logged, and the digest of all of it",
    Event.LOGGED_MODEL_CREATED: "a run logged a model",
    Event.LOGGED_MODEL_UPDATED: "a logged model's status, parameters or tags changed",
    Event.LOGGED_MODEL_DELETED: "a logged model was deleted",
    Event.LOGGED_MODEL_IMPORTED: "a logged model was brought over from another server",
    Event.TRACE_LOGGED: "an application's trace was written down, or ended",
    Event.TRACE_TAGGED: "tags of a trace were set or removed",
    Event.TRACE_ASSESSED: "an assessment of a trace was given, changed or removed",
    Event.TRACE_DELETED: "a trace was deleted with its spans and assessments",
    Event.MODEL_CREATED: "a model was registered under a name",
    Event.MODEL_UPDATED: "a registered model's description, owner or risk tier changed",
    Event.MODEL_RENAMED: "a registered model got another name",
    Event.MODEL_DELETED: "a registered model was taken out of the lists; its record stays",
    Event.MODEL_TAGGED: "tags of a registered model were set or removed",
    Event.MODEL_IMPORTED: "a registered model was brought over from another server",
    Event.VERSION_REGISTERED: "a version was registered, with its content digest and where it came from",
    Event.VERSION_UPDATED: "a version's description or status changed; its content never does",
    Event.VERSION_DELETED: "a version was taken out of the lists; its record stays",
    Event.VERSION_TAGGED: "tags of a version were set or removed",
    Event.VERSION_IMPORTED: "a version was brought over from another server, with its content digest and where it lay there",
    Event.STAGE_ASSIGNED: "a version got a stage; says which versions it displaced and through which request",
    Event.ALIAS_ASSIGNED: "an alias was pointed to a version; says which version had it before",
    Event.ALIAS_REMOVED: "an alias was removed",
    Event.PLACE_GRANDFATHERED: "a version holds a governed place because it held it at the server it came from; nobody decided on it here",
    Event.SERVER_IMPORTED: "an import ended: its source, what it brought, and how source and copy compare",
    Event.SERVER_EXPORTED: "an export ended: where it went, what it wrote, and how copy and original compare",
    Event.DATASET_REGISTERED: "a version of a data set was registered, with its digest, where it came from and whether it keeps its contract",
    Event.DATASET_CONTRACT_PUBLISHED: "a revision of a data set's contract was published",
    Event.LINEAGE_RECORDED: "an edge was added to the lineage by hand or by a client",
    Event.POLICY_PUBLISHED: "a revision of a policy was published",
    Event.BINDING_CREATED: "a policy was put in force, replacing the binding of that name",
    Event.BINDING_ENDED: "a binding was taken out of force",
    Event.PARAMETERS_PUBLISHED: "named parameters of a policy got new values; the bindings that use them began anew",
    Event.GATE_EVALUATED: "a gate was judged without blocking: a direct move under warn or shadow, or a fresh look at what holds a place",
    Event.WAIVER_REQUESTED: "somebody asked that a requirement may be missed for a time",
    Event.WAIVER_APPROVED: "a waiver was approved; it is in force until it expires",
    Event.WAIVER_REFUSED: "a waiver was refused",
    Event.WAIVER_REVOKED: "a waiver in force was ended before its time",
    Event.WAIVER_EXPIRED: "a waiver's time ended and its requirement holds again",
    Event.FINDING_RAISED: "a problem with a model was put on record, with its severity, owner and due date",
    Event.FINDING_UPDATED: "a finding's severity, owner or due date changed",
    Event.FINDING_CLOSED: "a finding was closed with evidence",
    Event.FINDING_REOPENED: "a closed finding was opened again, by a person or because a check found it anew",
    Event.QUESTIONNAIRE_PUBLISHED: "a revision of a risk questionnaire was published",
    Event.TIER_ASSESSED: "a model's risk tier was computed from the answers to a questionnaire",
    Event.TIER_OVERRIDE_PROPOSED: "somebody proposed another tier than the score gives, with a reason",
    Event.TIER_OVERRIDE_CONFIRMED: "a second person confirmed a tier that overrides the score",
    Event.TIER_OVERRIDE_REFUSED: "a second person refused a tier that overrides the score",
    Event.CARD_WRITTEN: "a revision of a version's model card was written",
    Event.CHECK_QUEUED: "a check run was asked for",
    Event.CHECK_FINISHED: "a check run ended: its result, or why there is none",
    Event.CHECK_CANCELLED: "a check run was cancelled",
    Event.CHECK_REPORTED: "a pipeline elsewhere reported the result of a check",
    Event.SIGNING_KEY_REGISTERED: "a public key was registered that reports of a service account may be signed with",
    Event.SIGNING_KEY_REVOKED: "a key was revoked: nothing signed with it is taken any more",
    Event.PROMOTION_REQUESTED: "a promotion was asked for",
    Event.PROMOTION_DRAFTED: "a promotion was prepared and not yet asked for",
    Event.PROMOTION_REBASED: "a request moved to newer policy revisions; before and after are kept",
    Event.PROMOTION_CHECKS_STARTED: "checks were started again, after an error or because another version holds the place now",
    Event.PROMOTION_READY: "a request's checks ended and reviewers are asked",
    Event.PROMOTION_REVIEWED: "somebody approved, rejected or asked for changes, on a named digest",
    Event.PROMOTION_APPROVED: "a request has the reviews its policies ask for",
    Event.PROMOTION_EXECUTING: "carrying out an approved request began",
    Event.PROMOTION_REOPENED: "what an approval rested on changed before it was carried out; the request is in review again",
    Event.PROMOTION_EXECUTED: "an approved request was carried out",
    Event.PROMOTION_REJECTED: "a request was rejected",
    Event.PROMOTION_CHANGES_REQUESTED: "a reviewer sent a request back",
    Event.PROMOTION_RESUBMITTED: "a request that was sent back was handed in again",
    Event.PROMOTION_WITHDRAWN: "a request was taken back",
    Event.PROMOTION_EXPIRED: "a request's time ended",
    Event.PROMOTION_SUPERSEDED: "another request took a request's place",
    Event.PROMOTION_FAILED: "an approved request could not be carried out; says why",
    Event.DELEGATION_CREATED: "a person handed reviewing to another for a time",
    Event.DELEGATION_REVOKED: "a delegation was ended before its time",
    Event.FREEZE_CREATED: "a freeze window was put in force",
    Event.FREEZE_ENDED: "a freeze window was taken out of force",
    Event.CALENDAR_CHANGED: "a business calendar was published anew",
    Event.BREAK_GLASS_REQUESTED: "somebody asked for an emergency move past the gate, with an incident",
    Event.BREAK_GLASS_CONFIRMED: "a second person confirmed the emergency move and it took place",
    Event.BREAK_GLASS_REFUSED: "an emergency move was refused or taken back before it took place",
    Event.BREAK_GLASS_REVERTED: "an emergency move ended and what stood there before stands there again",
    Event.BREAK_GLASS_REVIEWED: "the review after an emergency move was closed",
    Event.RE_REVIEW_OPENED: "what holds a place must be reviewed again, by the clock or after an event",
    Event.RE_REVIEW_CLOSED: "a re-review that was due was done",
    Event.RE_REVIEW_OVERDUE: "a re-review was not done in time and was escalated",
    Event.TASK_CLAIMED: "a person took on a review that waits for their group",
    Event.TASK_RELEASED: "a person gave a claimed review back to the group",
    Event.TASK_ESCALATED: "a review was overdue and was told to the group it escalates to",
    Event.THREAD_OPENED: "a discussion was begun on a request, a requirement, a measurement or a card field",
    Event.THREAD_RESOLVED: "a discussion was resolved",
    Event.THREAD_REOPENED: "a resolved discussion was opened again",
    Event.COMMENT_ADDED: "a comment was added to a discussion",
    Event.COMMENT_EDITED: "a comment was changed by its author; the text before is kept here",
    Event.COMMENT_DELETED: "a comment was deleted by its author; its text is kept here",
    Event.WEBHOOK_CREATED: "an endpoint that is told of events was added",
    Event.WEBHOOK_CHANGED: "an endpoint's address, events or state changed; its secret is not in the event",
    Event.WEBHOOK_DELETED: "an endpoint was removed",
    Event.WEBHOOK_REDELIVERED: "a delivery was sent again by hand",
    Event.REPORT_READ: "somebody read an audit report",
}


def checked(given: Iterable[str]) -> list[str]:
    """Return what an endpoint asks for, each once. Raises Invalid for nothing, too much, or what no event matches.

    Each is an event's name, the beginning of names such as ``promotion.*``, or ``*``.
    """
    patterns = list(dict.fromkeys(given))
    if not 1 <= len(patterns) <= MOST_PATTERNS:
        raise Invalid(f"Name 1 to {MOST_PATTERNS} events, or * for all.")
    for pattern in patterns:
        if not any(_matches(pattern, event) for event in Event):
            raise Invalid(
                f"No event is called {pattern!r}: give a name such as promotion.approved, the beginning of names such as "
                "promotion.*, or * for all. GET /api/v1/webhooks/events/ lists them."
            )
    return patterns


def wants(patterns: Iterable[str], action: str) -> bool:
    """Return whether one of these asks for an event of this name."""
    return any(_matches(pattern, action) for pattern in patterns)


def _matches(pattern: str, action: str) -> bool:
    if pattern == "*" or pattern == action:
        return True
    return pattern.endswith(".*") and action.startswith(pattern[:-1])
