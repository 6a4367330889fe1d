"""Who stands in for whom, what is being talked about, who was told what, and whose rights conflict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import Denied, NotFound
from core.models import User
from governance.bindings import BLOCKING, covers, in_force
from governance.models import Binding, PolicyRevision
from governance.policy import compile_policy
from registry.models import ModelGroupPermission, ModelUserPermission, ModelVersion, RegisteredModel
from workflows import reviewers
from workflows.models import Comment, Delegation, MailPreference, Notification, PromotionRequest, Thread
from workflows.rules import role_conflicts as rules


@dataclass(frozen=True)
class StandIn:
    """Somebody whose place one takes now, with the groups of theirs that one may review for."""

    user_id: int
    username: str
    groups: frozenset[str]


def standing_in(user_id: int | None, at: datetime) -> list[StandIn]:
    """Return whose place a person takes at a moment, by name: only of those who may review themselves. One statement."""
    if user_id is None:
        return []
    rows = Delegation.objects.filter(delegate_id=user_id, starts_at__lte=at, ends_at__gt=at, delegator__is_active=True)
    rows = rows.filter(Q(revoked_at=None) | Q(revoked_at__gt=at)).order_by("delegator__username", "pk")
    held: dict[tuple[int, str], set[str]] = defaultdict(set)
    covered: dict[tuple[int, str], frozenset[str]] = {}
    for giver, name, groups, group in rows.values_list(
        "delegator_id", "delegator__username", "groups", "delegator__groups__name"
    ):
        held[giver, name].add(group or "")
        covered[giver, name] = frozenset(groups)
    found = []
    for (giver, name), groups in held.items():
        if groups & set(reviewers.REVIEW_ROLES):
            found.append(StandIn(giver, name, frozenset(groups) & (covered[giver, name] or frozenset(groups))))
    return found


@dataclass(frozen=True)
class DelegationRow:
    """A delegation; none named as groups means all of the delegator's."""

    id: int
    delegator: str
    delegator_name: str
    delegate: str
    delegate_name: str
    groups: list[str]
    reason: str
    starts_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    created_by: str
    created_at: datetime
    in_force: bool


def delegations(actor: Actor, *, person: str = "", current: bool | None = None) -> QuerySet[Delegation]:
    """Return delegations, the newest first: one's own, or everybody's for who manages accounts or audits.

    person: only those that this account gives or holds. current: only those not over yet, or only those over.
    """
    rows = Delegation.objects.select_related("delegator", "delegate", "created_by").order_by("-created_at", "-pk")
    if not (actor.grants(Permission.ACCOUNT_MANAGE) or actor.grants(Permission.AUDIT_READ)):
        rows = rows.filter(Q(delegator_id=actor.user_id or 0) | Q(delegate_id=actor.user_id or 0))
    if person:
        rows = rows.filter(Q(delegator__username=person) | Q(delegate__username=person))
    if current is not None:
        still = Q(ends_at__gt=timezone.now(), revoked_at=None)
        rows = rows.filter(still) if current else rows.exclude(still)
    return rows


def delegation_row(row: Delegation) -> DelegationRow:
    """Return a delegation for a list; its people must be loaded."""
    now = timezone.now()
    return DelegationRow(
        id=row.pk,
        delegator=row.delegator.username,
        delegator_name=row.delegator.display_name,
        delegate=row.delegate.username,
        delegate_name=row.delegate.display_name,
        groups=list(row.groups),
        reason=row.reason,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
        created_by=row.created_by.username,
        created_at=row.created_at,
        in_force=row.revoked_at is None and row.starts_at <= now < row.ends_at,
    )


# Discussion.


@dataclass(frozen=True)
class CommentRow:
    """A contribution. A deleted one keeps its place, without its text."""

    id: int
    author: str
    author_name: str
    text: str
    mentions: list[str]
    created_at: datetime
    edited_at: datetime | None
    deleted: bool


@dataclass(frozen=True)
class ThreadRow:
    """A discussion with what it is about and everything that was said. may_resolve: and take up again."""

    id: int
    model: str
    version: int
    request: int | None
    anchor_kind: str
    anchor: str
    opened_by: str
    opened_at: datetime
    resolved: bool
    resolved_by: str
    resolved_at: datetime | None
    may_resolve: bool
    comments: list[CommentRow] = field(default_factory=list)


def threads(actor: Actor, *, request_id: int | None = None, model: str = "", version: int = 0) -> QuerySet[Thread]:
    """Return the discussions of a request, or those of a version with those of its requests, oldest first.

    Raises NotFound when absent or hidden.
    """
    rows = Thread.objects.select_related("version__model", "opened_by", "resolved_by").order_by("opened_at", "pk")
    rows = rows.prefetch_related(Prefetch("comments", Comment.objects.select_related("author").order_by("created_at", "pk")))
    if request_id is not None:
        requests = access.visible(actor, PromotionRequest.objects.all(), Permission.MODEL_READ, "model")
        if not requests.filter(pk=request_id).exists():
            raise NotFound(f"There is no promotion request {request_id}, or you may not see it.")
        return rows.filter(request_id=request_id)
    versions = access.visible(actor, ModelVersion.objects.all(), Permission.MODEL_READ, "model")
    found = versions.filter(model__name=model, number=version).first()
    if found is None:
        raise NotFound(f"There is no version {version} of {model!r}, or you may not see it.")
    return rows.filter(version=found)


def thread_rows(actor: Actor, found: Iterable[Thread]) -> list[ThreadRow]:
    """Return discussions of one model for a list, with whether the actor may resolve them; at most one statement more."""
    found = list(found)
    manages = actor.grants(Permission.PROMOTION_REVIEW) or (
        bool(found) and access.explain(actor, Permission.MODEL_MANAGE, found[0].version.model).allowed
    )
    return [
        ThreadRow(
            id=row.pk,
            model=row.version.model.name,
            version=row.version.number,
            request=row.request_id,
            anchor_kind=row.anchor_kind,
            anchor=row.anchor,
            opened_by=row.opened_by.username,
            opened_at=row.opened_at,
            resolved=row.resolved_at is not None,
            resolved_by=row.resolved_by.username if row.resolved_by else "",
            resolved_at=row.resolved_at,
            may_resolve=manages or row.opened_by_id == actor.user_id,
            comments=[comment_row(comment) for comment in row.comments.all()],
        )
        for row in found
    ]


def thread_row(actor: Actor, thread_id: int) -> ThreadRow:
    """Return one discussion. Raises NotFound."""
    rows = Thread.objects.select_related("version__model", "opened_by", "resolved_by")
    rows = rows.prefetch_related(Prefetch("comments", Comment.objects.select_related("author").order_by("created_at", "pk")))
    found = access.visible(actor, rows, Permission.MODEL_READ, "version__model").filter(pk=thread_id).first()
    if found is None:
        raise NotFound(f"There is no thread {thread_id}, or you may not see it.")
    return thread_rows(actor, [found])[0]


def comment_row(row: Comment) -> CommentRow:
    """Return a comment as it is shown; its author must be loaded."""
    return CommentRow(
        id=row.pk,
        author=row.author.username,
        author_name=row.author.display_name,
        text=row.text,
        mentions=list(row.mentions),
        created_at=row.created_at,
        edited_at=row.edited_at,
        deleted=row.deleted_at is not None,
    )


# What people were told.


@dataclass(frozen=True)
class NotificationRow:
    """A line in somebody's inbox. path: the page it is about."""

    id: int
    request: int | None
    kind: str
    text: str
    path: str
    created_at: datetime
    read: bool


def notifications(actor: Actor, *, unread: bool = False, kind: str = "") -> QuerySet[Notification]:
    """Return what the actor was told, newest first."""
    rows = Notification.objects.filter(user_id=actor.user_id or 0).order_by("-created_at", "-pk")
    if unread:
        rows = rows.filter(read_at=None)
    return rows.filter(kind=kind) if kind else rows


def notification_row(row: Notification) -> NotificationRow:
    """Return a notification for a list."""
    return NotificationRow(row.pk, row.request_id, row.kind, row.text, row.path, row.created_at, row.read_at is not None)


def mail_wanted(actor: Actor) -> bool:
    """Return whether the actor takes mail; who said nothing does."""
    return not MailPreference.objects.filter(user_id=actor.user_id or 0, wanted=False).exists()


# Conflicts of rights.


@dataclass(frozen=True)
class ConflictRow:
    """Two rights that one account holds and should not hold together, and why it matters."""

    user: str
    user_name: str
    code: str
    first: str
    second: str
    why: str
    severity: str


def role_conflicts(actor: Actor) -> list[ConflictRow]:
    """Return the accounts whose rights conflict, by name: for who audits or manages accounts. A constant number of statements."""
    if not (actor.grants(Permission.AUDIT_READ) or actor.grants(Permission.ACCOUNT_MANAGE)):
        raise Denied("The report of conflicting rights is for auditors and platform admins.")
    users = {user.pk: user for user in User.objects.filter(is_active=True).order_by("username")}
    groups = _groups(users)
    policies = _policies_in_force()
    writable = _governed_that_reviewers_write(users, groups)
    rows = []
    for pk, user in users.items():
        held = groups[pk]
        found = [*rules.by_roles(held), *rules.by_policies(held, policies), *rules.by_grants(writable.get(pk, ()))]
        if user.is_service:
            found += rules.of_a_service(held, reviewers.REVIEW_ROLES)
        rows += [
            ConflictRow(user.username, user.display_name, each.code, each.first, each.second, each.why, each.severity)
            for each in found
        ]
    return rows


def _groups(users: Collection[int]) -> dict[int, frozenset[str]]:
    found: dict[int, set[str]] = {pk: set() for pk in users}
    for pk, group in User.groups.through.objects.filter(user__is_active=True).values_list("user_id", "group__name"):
        if pk in found:
            found[pk].add(group)
    return {pk: frozenset(names) for pk, names in found.items()}


def _policies_in_force() -> list[rules.PolicyHands]:
    """Return who the newest revisions of the policies in force ask for reviews and for waivers, by name. One statement."""
    bound = Binding.objects.filter(in_force(timezone.now()), mode__in=BLOCKING).values("policy_id")
    rows = PolicyRevision.objects.filter(policy_id__in=bound).order_by("policy__name", "number")
    newest = dict(rows.values_list("policy__name", "document"))
    found = []
    for name, document in newest.items():
        policy = compile_policy(document)
        if policy.waivers is not None:
            steps = (*policy.steps, *(policy.rollback.steps if policy.rollback else ()))
            asked = frozenset(factor.group for step in steps for factor in step.factors)
            found.append(rules.PolicyHands(name, asked, policy.waivers.approved_by))
    return found


def _governed_that_reviewers_write(users: Mapping[int, User], groups: Mapping[int, frozenset[str]]) -> dict[int, set[str]]:
    """Return the names of the governed models that each reviewer may change; five statements."""
    may_review = {pk for pk in users if groups[pk] & set(reviewers.REVIEW_ROLES)}
    codenames = ("model_write", "model_manage")
    granted: dict[int, set[int]] = defaultdict(set)
    direct = ModelUserPermission.objects.filter(permission__codename__in=codenames, user__is_active=True)
    for user_id, model_id in direct.values_list("user_id", "content_object_id"):
        if user_id in may_review:
            granted[model_id].add(user_id)
    members: dict[str, set[int]] = defaultdict(set)
    for pk in may_review:
        for group in groups[pk]:
            members[group].add(pk)
    by_group = ModelGroupPermission.objects.filter(permission__codename__in=codenames)
    for group, model_id in by_group.values_list("group__name", "content_object_id"):
        granted[model_id] |= members[group]
    names: dict[int, set[str]] = defaultdict(set)
    for model in _governed(RegisteredModel.objects.filter(pk__in=list(granted)).prefetch_related("tags")):
        for user_id in granted[model.pk]:
            names[user_id].add(model.name)
    return names


def _governed(models: Iterable[RegisteredModel]) -> list[RegisteredModel]:
    bindings = list(Binding.objects.filter(in_force(timezone.now()), mode__in=BLOCKING))
    return [model for model in models if any(_covers(binding, model) for binding in bindings)]


def _covers(binding: Binding, model: RegisteredModel) -> bool:
    return covers(binding, name=model.name, tier=model.risk_tier, tags={tag.key: tag.value for tag in model.tags.all()})
