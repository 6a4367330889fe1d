"""Who may review: the groups of people who hold the right, as a gate sees them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from core.access import ROLE_GRANTS, Permission
from core.models import User
from governance.facts import PersonFact
from registry.models import RegisteredModel

REVIEW_ROLES = tuple(role for role, grants in ROLE_GRANTS.items() if Permission.PROMOTION_REVIEW in grants)
# Enough to see whether a factor can be filled (at most 20 of one group), few enough to be kept with each decision.
MOST_OF_A_GROUP = 50

_may_review = User.objects.filter(is_active=True, is_service=False, groups__name__in=REVIEW_ROLES)
_memberships = User.groups.through.objects


def groups_of(usernames: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the groups of those who may review now; who may not is absent. One statement."""
    rows = _memberships.filter(user__in=_may_review, user__username__in=list(usernames))
    return _by_user(rows.values_list("user__username", "group__name"))


def people_in(groups: Collection[str], *, barred: Iterable[str], model: RegisteredModel) -> tuple[PersonFact, ...]:
    """Return who could decide as a member of these groups, at most 50 of each, by name; two statements."""
    rows = _memberships.filter(group__name__in=list(groups), user__in=_may_review).exclude(user__username__in=list(barred))
    numbered = rows.annotate(nth=Window(RowNumber(), partition_by=F("group_id"), order_by=F("user__username").asc()))
    few = numbered.filter(nth__lte=MOST_OF_A_GROUP)  # type: ignore[misc]  # the stubs do not know annotations
    found = _by_user(few.values_list("user__username", "group__name"))
    team = owner_team(model, found)
    return tuple(PersonFact(name, tuple(sorted(found[name])), name in team) for name in sorted(found))


def owner_team(model: RegisteredModel, usernames: Iterable[str]) -> frozenset[str]:
    """Return which of these people belong to the team that owns a model; one statement, none if no team does."""
    if model.owner_team_id is None:
        return frozenset()
    rows = _memberships.filter(group_id=model.owner_team_id, user__username__in=list(usernames))
    return frozenset(rows.values_list("user__username", flat=True))


def _by_user(rows: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: Mapping[str, set[str]] = defaultdict(set)
    for username, group in rows:
        found[username].add(group)
    return {username: frozenset(groups) for username, groups in found.items()}
