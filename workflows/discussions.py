"""Discussions: what the gate knows of them, what a thread may be about, and who is spoken to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Count, Q

from core import access
from core.access import Actor, Permission
from core.errors import Invalid
from core.models import User
from governance.facts import DiscussionFacts, measurement_key
from governance.models import Measurement, ModelCard
from governance.policy import compile_policy
from registry.models import ModelVersion, RegisteredModel
from workflows.models import PromotionRequest, Thread, ThreadAnchor

# What a thread can be about, with a request and without one.
OF_REQUEST = (ThreadAnchor.REQUEST, ThreadAnchor.REQUIREMENT, ThreadAnchor.MEASUREMENT, ThreadAnchor.CARD)
OF_VERSION = (ThreadAnchor.VERSION, ThreadAnchor.MEASUREMENT, ThreadAnchor.CARD)
MOST_MENTIONS = 20

# As core.commands takes names of accounts; not inside a word, so that a mail address mentions nobody.
_MENTION = re.compile(r"(?<![\w.@+-])@([\w.@+-]{1,150})")
_TRAILING = ".@+-"


def facts(request: PromotionRequest) -> DiscussionFacts:
    """Return how many threads a request has and how many are not resolved, in one statement."""
    counted = Thread.objects.filter(request=request).aggregate(
        threads=Count("pk"), unresolved=Count("pk", filter=Q(resolved_at__isnull=True))
    )
    return DiscussionFacts(**counted)


def anchored(version: ModelVersion, request: PromotionRequest | None, kind: str, anchor: str) -> str:
    """Return the anchor of a thread, if there is such a thing. Raises Invalid saying what there is."""
    kinds = OF_REQUEST if request is not None else OF_VERSION
    if kind not in kinds:
        raise Invalid(f"A thread here is about one of {', '.join(kinds)}.", code="no_such_anchor")
    if kind in (ThreadAnchor.REQUEST, ThreadAnchor.VERSION):
        if anchor:
            raise Invalid(f"A thread about the {kind} as a whole has no anchor; leave it out.", code="no_such_anchor")
        return ""
    there = _anchors(version, request, kind)
    if anchor not in there:
        some = ", ".join(sorted(there)[:10]) or "none yet"
        raise Invalid(f"There is no {kind} {anchor!r} here; there are: {some}.", code="no_such_anchor")
    return anchor


def mentioned(text: str, model: RegisteredModel) -> list[User]:
    """Return the people whom a text speaks to as @username and who may see the model, by name.

    A name that nobody has, and one whose person may not see it, are equally plain text. Raises Invalid for too many.
    """
    written = {match[1] for match in _MENTION.finditer(text)}
    if len(written) > MOST_MENTIONS:
        raise Invalid(f"A comment speaks to at most {MOST_MENTIONS} people.")
    spelt = [_spellings(name) for name in sorted(written)]
    users = {user.username: user for user in readers({spelling for spellings in spelt for spelling in spellings}, model)}
    meant = {next((spelling for spelling in spellings if spelling in users), "") for spellings in spelt}
    return [users[name] for name in sorted(meant - {""})]


def readers(usernames: Iterable[str], model: RegisteredModel) -> list[User]:
    """Return those of these people who may see a model, by name."""
    wanted = sorted(set(usernames) - {""})
    if not wanted:
        return []
    rows = User.objects.filter(username__in=wanted, is_active=True, is_service=False).prefetch_related("groups")
    return [user for user in rows.order_by("username") if access.explain(_as_actor(user), Permission.MODEL_READ, model).allowed]


def _anchors(version: ModelVersion, request: PromotionRequest | None, kind: str) -> set[str]:
    if kind == ThreadAnchor.CARD:
        card = ModelCard.objects.filter(version=version).order_by("-revision").first()
        return set(card.sections) if card else set()
    if kind == ThreadAnchor.MEASUREMENT:
        rows = Measurement.objects.all()
        rows = rows.filter(run__request_links__request=request) if request else rows.filter(run__version=version)
        return {measurement_key(metric, slice_) for metric, slice_ in rows.values_list("metric", "slice").distinct()}
    assert request is not None
    pins = request.policies.filter(generation=request.generation).select_related("revision__policy")
    policies = [compile_policy(pin.revision.document) for pin in pins]
    return {f"{policy.name}/{requirement.id}" for policy in policies for requirement in policy.requirements}


def _spellings(name: str) -> list[str]:
    """Return a written name, then without the signs at its end that may be the sentence's, the longest first."""
    found = [name]
    while found[-1] and found[-1][-1] in _TRAILING:
        found.append(found[-1][:-1])
    return [each for each in found if each]


def _as_actor(user: User) -> Actor:
    groups = list(user.groups.all())
    return Actor(
        user_id=user.pk,
        username=user.username,
        roles=frozenset(group.name for group in groups),
        group_ids=tuple(group.pk for group in groups),
    )
