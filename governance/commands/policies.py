"""Publish policies and named parameters, and put policies in force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.canonical import canonical, digest
from core.documents import DocumentError
from core.errors import Conflict, Invalid, NotFound
from governance import validation
from governance.bindings import in_force, in_force_or_to_come
from governance.models import Binding, ParameterSet, Policy, PolicyRevision
from governance.policy import BindingDocument, parse_binding, parse_parameters
from governance.validation import Texts

T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """A policy's newest revision, and what its steps lack to be filled: groups that are not there, or too few people in them."""

    revision: PolicyRevision
    warnings: tuple[str, ...]


@transaction.atomic
def publish_policy(*, actor: Actor, document: str, rebinding: Collection[str] = ()) -> Published:
    """Publish a policy's text as its next revision; the same text again gives the revision it has already.

    rebinding: bindings that the caller puts in force anew in the same transaction, so that the present ones need not fit.
    Raises Invalid with every mistake's line, column and remedy; Denied without the right to publish; Conflict for a text of
    an earlier revision, and for one that a binding in force, or to come, has no parameters for.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    compiled = _read("policy", document, validation.policy)
    policy = _locked(compiled.name, make=True)
    latest = policy.revisions.order_by("-number").first()
    warnings = validation.group_warnings(compiled)
    if latest is not None and latest.digest == compiled.digest:
        return Published(latest, warnings)
    if policy.revisions.filter(digest=compiled.digest).exists():
        raise Conflict("An earlier revision has this very text; change a word, so that the record shows which one was meant.")
    if broken := validation.broken_bindings(compiled, rebinding=rebinding):
        raise Conflict(
            f"This text would leave bindings without parameters that fit: "
            f"{'; '.join(f'{name}: {wrong}' for name, wrong in broken.items())}. "
            f"Give new parameters a default, or publish the policy together with its bindings: manage.py sync_policies.",
            code="breaks_bindings",
            bindings=list(broken),
        )
    revision = PolicyRevision.objects.create(
        policy=policy,
        number=latest.number + 1 if latest else 1,
        digest=compiled.digest,
        document=document,
        published_by_id=actor.user_id,
    )
    audit.record(
        actor,
        Event.POLICY_PUBLISHED,
        subject=("policy", compiled.name),
        before={"revision": latest.number, "digest": latest.digest} if latest else None,
        after={"revision": revision.number, "digest": revision.digest},
    )
    return Published(revision, warnings)


@transaction.atomic
def publish_parameters(*, actor: Actor, document: str) -> ParameterSet:
    """Publish the values of named parameters; every binding that goes by the name ends and begins anew with them.

    The same values again give the revision there is. Raises Invalid for a mistake in the document and for values that do not
    fit the policy; NotFound for a policy that was never published.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    policy = _locked(_read("parameters", document, parse_parameters).policy)
    wanted = _read("parameters", document, lambda text: validation.parameters(text, Texts()))
    values = dict(wanted.values)
    latest = ParameterSet.objects.filter(name=wanted.name).order_by("-number").first()
    if latest is not None and latest.digest == digest(values):
        return latest
    try:
        with transaction.atomic():
            published = ParameterSet.objects.create(
                name=wanted.name,
                number=latest.number + 1 if latest else 1,
                policy=policy,
                values=values,
                digest=digest(values),
                published_by_id=actor.user_id,
            )
    except IntegrityError:  # the same name, first published for two policies at once
        raise Conflict(f"Someone else published {wanted.name} just now; read it and publish again.") from None
    now = timezone.now()
    using = Binding.objects.select_related("policy").filter(in_force_or_to_come(now), policy=policy, parameters_name=wanted.name)
    rows = list(using.order_by("name", "valid_from"))
    audit.record(
        actor,
        Event.PARAMETERS_PUBLISHED,
        subject=("parameters", wanted.name),
        before={"revision": latest.number, "values": latest.values} if latest else None,
        after={
            "revision": published.number,
            "policy": wanted.policy,
            "values": values,
            "bindings": list(dict.fromkeys(row.name for row in rows)),
        },
    )
    for row in rows:
        _begin_anew(actor, row, values, now)
    return published


@transaction.atomic
def bind_policy(*, actor: Actor, document: str) -> Binding:
    """Put a policy in force as a binding document says, at once or from the moment that ``since`` names.

    A binding of the same name stays in force until this one begins and ends there; one of the name that was still to come is
    taken back. The same again changes nothing.
    Raises Invalid for a mistake in the document, an unknown stage, parameters that do not fit or a data set that is not
    registered; NotFound for a policy that was never published.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    policy = _locked(_read("binding", document, parse_binding).policy)
    bindable = _read("binding", document, lambda text: validation.binding(text, Texts()))
    wanted, values = bindable.document, bindable.parameters
    now = timezone.now()
    starts = max(wanted.since, now) if wanted.since else now
    holds = Binding.objects.select_related("policy").filter(in_force(now), name=wanted.name).first()
    to_come = Binding.objects.select_related("policy").filter(name=wanted.name, valid_from__gt=now, valid_to__isnull=True).first()
    if (kept := _as_wanted(bindable, starts, now, holds, to_come)) is not None:
        return kept
    if to_come is not None:
        _take_back(to_come)
    if holds is not None:
        Binding.objects.filter(pk=holds.pk).update(valid_to=starts)
    replaced = holds or to_come
    try:
        with transaction.atomic():
            binding = Binding.objects.create(
                name=wanted.name,
                policy=policy,
                models_matching=list(wanted.models),
                risk_tiers=list(wanted.risk_tiers),
                tags=dict(wanted.tags),
                stages=list(wanted.stages),
                aliases=list(wanted.aliases),
                mode=wanted.mode,
                parameters=dict(values),
                parameters_name=wanted.parameters_name,
                created_by_id=actor.user_id,
                valid_from=starts,
            )
    except IntegrityError:
        raise Conflict(f"Someone else bound {wanted.name} just now; read it and bind again.") from None
    _record_bound(actor, binding, before=replaced)
    return binding


@transaction.atomic
def end_binding(*, actor: Actor, name: str) -> None:
    """Take a binding out of force, and take back one of the name that is to come. Raises NotFound if there is neither."""
    access.require(actor, Permission.POLICY_PUBLISH)
    now = timezone.now()
    to_come = list(Binding.objects.filter(name=name, valid_from__gt=now, valid_to__isnull=True))
    for row in to_come:
        _take_back(row)
    ended = Binding.objects.filter(in_force(now), name=name).update(valid_to=now)
    if not ended and not to_come:
        raise NotFound(f"There is no binding {name!r} in force or to come.")
    audit.record(
        actor, Event.BINDING_ENDED, subject=("binding", name), before={"in_force": bool(ended), "to_come": bool(to_come)}
    )


def same_binding(row: Binding, wanted: BindingDocument, values: Mapping[str, Any]) -> bool:
    """Return whether a binding's row says what a document does, whenever it began."""
    return (
        row.policy.name == wanted.policy
        and row.mode == wanted.mode
        and row.models_matching == list(wanted.models)
        and row.risk_tiers == list(wanted.risk_tiers)
        and row.tags == dict(wanted.tags)
        and row.stages == list(wanted.stages)
        and row.aliases == list(wanted.aliases)
        and row.parameters_name == wanted.parameters_name
        # Equality would take True for 1.
        and canonical(row.parameters) == canonical(dict(values))
    )


def _as_wanted(
    bindable: validation.Bindable, starts: datetime, now: datetime, holds: Binding | None, to_come: Binding | None
) -> Binding | None:
    """Return the row that does what is wanted already, if there is one."""
    held = holds is not None and same_binding(holds, bindable.document, bindable.parameters)
    if to_come is None:
        return holds if held else None
    coming = same_binding(to_come, bindable.document, bindable.parameters) and to_come.valid_from == starts
    return to_come if starts > now and coming else None


def _take_back(row: Binding) -> None:
    """End a binding where it would have begun: a period without length, which no moment falls into."""
    Binding.objects.filter(pk=row.pk).update(valid_to=F("valid_from"))


def _begin_anew(actor: Actor, row: Binding, values: Mapping[str, Any], now: datetime) -> None:
    """Replace a binding, in force or to come, by one with other values and the same end."""
    starts = max(row.valid_from, now)
    anew = Binding.objects.get(pk=row.pk)
    Binding.objects.filter(pk=row.pk).update(valid_to=starts)
    anew.pk, anew._state.adding = None, True
    anew.parameters, anew.valid_from, anew.created_by_id = dict(values), starts, actor.user_id
    anew.save(force_insert=True)
    _record_bound(actor, anew, before=row)


def _record_bound(actor: Actor, row: Binding, *, before: Binding | None) -> None:
    audit.record(
        actor,
        Event.BINDING_CREATED,
        subject=("binding", row.name),
        before=_recorded(before) if before else None,
        after=_recorded(row),
    )


def _recorded(row: Binding) -> dict[str, Any]:
    return {
        "policy": row.policy.name,
        "mode": row.mode,
        "models": row.models_matching,
        "risk_tiers": row.risk_tiers,
        "tags": row.tags,
        "stages": row.stages,
        "aliases": row.aliases,
        "parameters": row.parameters,
        "parameters_name": row.parameters_name,
        "since": row.valid_from.isoformat(),
    }


def _locked(name: str, *, make: bool = False) -> Policy:
    """Return a policy, locked: its texts, parameters and bindings change one after the other, so that each is held to the last."""
    rows = Policy.objects.select_for_update()
    found = rows.get_or_create(name=name)[0] if make else rows.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no policy {name!r}; publish it before you bind it or its parameters.")
    return found


def _read(what: str, document: str, reader: Callable[[str], T]) -> T:
    """Return a document as read. Raises Invalid with every mistake's place."""
    try:
        return reader(document)
    except DocumentError as error:
        raise Invalid(
            f"The {what} {'have' if what == 'parameters' else 'has'} "
            f"{len(error.mistakes)} mistake{'s' * (len(error.mistakes) != 1)}: {error}",
            code=f"malformed_{what}",
            mistakes=[{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes],
        ) from None
