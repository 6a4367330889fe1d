"""Publish policies and put them in force."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Invalid, NotFound
from governance.checks import catalogue
from governance.commands.checks import resolve_checks
from governance.documents import DocumentError
from governance.models import Binding, Policy, PolicyRevision
from governance.policy import CompiledPolicy, compile_policy, parse_binding
from registry.models import Stage


@transaction.atomic
def publish_policy(*, actor: Actor, document: str) -> PolicyRevision:
    """Publish a policy's text as its next revision; the same text again gives the revision it has already.

    Raises Invalid with every mistake's line, column and remedy; Denied without the right to publish.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    compiled = _compiled(document)
    _validate_checks(compiled)
    policy, _ = Policy.objects.select_for_update().get_or_create(name=compiled.name)
    latest = policy.revisions.order_by("-number").first()
    if latest is not None and latest.digest == compiled.digest:
        return latest
    if policy.revisions.filter(digest=compiled.digest).exists():
        raise Conflict("An earlier revision has this very text; change a word, so that the record shows which one was meant.")
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
    return revision


@transaction.atomic
def bind_policy(*, actor: Actor, document: str) -> Binding:
    """Put a policy in force as a binding document says; a binding of the same name ends where this one begins.

    Raises Invalid for a mistake in the document, an unknown stage, wrong parameters or a data set that is not registered;
    NotFound for a policy that was never published.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    try:
        wanted = parse_binding(document)
    except DocumentError as error:
        raise _invalid("binding", error) from None
    policy = Policy.objects.filter(name=wanted.policy).first()
    revision = policy.revisions.order_by("-number").first() if policy else None
    if policy is None or revision is None:
        raise NotFound(f"There is no policy {wanted.policy!r}; publish it before you bind it.")
    compiled = compile_policy(revision.document)
    stages = set(Stage.objects.values_list("name", flat=True))
    wrong = [
        f"there is no stage {name}; the stages are {', '.join(sorted(stages))}" for name in wanted.stages if name not in stages
    ]
    wrong += compiled.wrong_parameters(wanted.parameters)
    if wrong:
        raise Invalid("The binding cannot be put in force: " + "; ".join(wrong) + ".", mistakes=wrong)
    resolve_checks(compiled, wanted.parameters)
    now = timezone.now()
    ended = Binding.objects.filter(name=wanted.name, valid_to__isnull=True)
    before = ended.values("pk", "parameters").first()
    ended.update(valid_to=now)
    binding = Binding.objects.create(
        name=wanted.name,
        policy=policy,
        models_matching=list(wanted.models),
        risk_tiers=list(wanted.risk_tiers),
        tags=dict(wanted.tags),
        stages=list(wanted.stages),
        aliases=list(wanted.aliases),
        parameters=dict(wanted.parameters),
        created_by_id=actor.user_id,
        valid_from=now,
    )
    audit.record(
        actor,
        Event.BINDING_CREATED,
        subject=("binding", wanted.name),
        before=before,
        after={
            "policy": wanted.policy,
            "models": list(wanted.models),
            "risk_tiers": list(wanted.risk_tiers),
            "tags": dict(wanted.tags),
            "stages": list(wanted.stages),
            "aliases": list(wanted.aliases),
            "parameters": dict(wanted.parameters),
        },
    )
    return binding


@transaction.atomic
def end_binding(*, actor: Actor, name: str) -> None:
    """Take a binding out of force. Raises NotFound if there is none of this name."""
    access.require(actor, Permission.POLICY_PUBLISH)
    if not Binding.objects.filter(name=name, valid_to__isnull=True).update(valid_to=timezone.now()):
        raise NotFound(f"There is no binding {name!r} in force.")
    audit.record(actor, Event.BINDING_ENDED, subject=("binding", name))


def _compiled(document: str) -> CompiledPolicy:
    try:
        return compile_policy(document)
    except DocumentError as error:
        raise _invalid("policy", error) from None


def _invalid(what: str, error: DocumentError) -> Invalid:
    return Invalid(
        f"The {what} has {len(error.mistakes)} mistake{'s' * (len(error.mistakes) != 1)}: {error}",
        code=f"malformed_{what}",
        mistakes=[{"line": m.line, "column": m.column, "message": m.message} for m in error.mistakes],
    )


def _validate_checks(policy: CompiledPolicy) -> None:
    known = catalogue.available()
    for request in policy.checks:
        if request.check not in known:
            raise Invalid(f"There is no check {request.check!r}; there are {', '.join(known)}.", code="unknown_check")
