"""Why somebody may not act, said before they try, so that pages offer what can be done. The commands decide, and refuse alike."""

from __future__ import annotations

from core import access
from core.access import Actor, Permission, Role
from governance.models import FindingRecord, PolicyRevision, TierAssessment, Waiver
from governance.policy import compile_policy
from registry.models import RegisteredModel
from workflows.commands.findings import GRAVE
from workflows.makers import makers_of
from workflows.models import BreakGlass
from workflows.queries.risk import makers_at_stake
from workflows.rules.separation_of_duties import parts_of


def has_voice(actor: Actor, model: RegisteredModel) -> bool:
    """Return whether the actor may raise and change findings of a model: who reviews, audits or may write it."""
    return _looks_on(actor) or access.explain(actor, Permission.MODEL_WRITE, model).allowed


def ruling_group(waiver: Waiver) -> str:
    """Return which group rules on waivers by the newest text of the policy; empty if it has none."""
    newest = PolicyRevision.objects.filter(policy__name=waiver.policy).order_by("-number").first()
    rule = compile_policy(newest.document).waivers if newest is not None else None
    return rule.approved_by if rule is not None else ""


def why_not_rule(actor: Actor, waiver: Waiver, group: str) -> str:
    """Return why the actor cannot rule on a waiver; empty if nothing stands in the way. group: of those who rule on it."""
    if group not in actor.roles:
        return f"{group} rules on it, and you are not of that group." if group else "The policy has no waivers any more."
    parts = ["you asked for it"] if waiver.requested_by_id == actor.user_id else []
    if waiver.requested_by.responsible_id == actor.user_id:
        parts.append(f"you answer for {waiver.requested_by.username}, who asked for it")
    return _barred(parts + parts_of(actor.username, makers_at_stake(waiver.model, waiver.version)))


def why_not_close(actor: Actor, finding: FindingRecord) -> str:
    """Return why the actor cannot close a finding; empty if nothing stands in the way."""
    if finding.severity not in GRAVE:
        if finding.owner_id == actor.user_id or has_voice(actor, finding.model):
            return ""
        return "Its owner closes it, or somebody who reviews, audits or may write the model."
    if not _looks_on(actor):
        return f"It is {finding.severity}: a reviewer or an auditor closes it."
    changes = finding.changes.all()
    owners = {state.get("owner") for change in changes for state in (change.before, change.after)}
    own = actor.username in owners or finding.owner_id == actor.user_id
    parts = ["you own it, or did"] if own else []
    return _barred(parts + parts_of(actor.username, makers_of(finding.version, requested_by=None)))


def why_not_rule_tier(actor: Actor, assessment: TierAssessment) -> str:
    """Return why the actor cannot rule on a proposed tier; empty if nothing stands in the way."""
    if not actor.grants(Permission.PROMOTION_REVIEW):
        return "A reviewer who had no part in the model rules on it."
    by = assessment.assessed_by
    parts = ["you assessed the model"] if by is not None and by.pk == actor.user_id else []
    if by is not None and by.responsible_id == actor.user_id:
        parts.append(f"you answer for {by.username}, who assessed the model")
    return _barred(parts + parts_of(actor.username, makers_at_stake(assessment.model)))


def why_not_confirm(actor: Actor, emergency: BreakGlass) -> str:
    """Return why the actor cannot confirm an emergency; empty if nothing stands in the way."""
    if not actor.grants(Permission.BREAK_GLASS):
        return "Somebody with the role incident-responder confirms it, other than who asked."
    return _barred(
        _part_in(actor, emergency) + parts_of(actor.username, makers_of(emergency.version, requested_by=None)),
        "Somebody else must.",
    )


def why_not_close_emergency(actor: Actor, emergency: BreakGlass) -> str:
    """Return why the actor cannot close the review of an emergency; empty if nothing stands in the way."""
    if not actor.roles & {Role.REVIEWER, Role.AUDITOR}:
        return "A reviewer or an auditor who was neither of the two looks at it and closes it."
    return _barred(_part_in(actor, emergency), "Another reviewer or auditor must.")


def _part_in(actor: Actor, emergency: BreakGlass) -> list[str]:
    parts = []
    for user, part in ((emergency.requested_by, "asked for it"), (emergency.confirmed_by, "confirmed it")):
        if user is not None and user.pk == actor.user_id:
            parts.append(f"you {part}")
        elif user is not None and user.responsible_id is not None and user.responsible_id == actor.user_id:
            parts.append(f"you answer for {user.username}, who {part}")
    return parts


def _looks_on(actor: Actor) -> bool:
    return actor.grants(Permission.PROMOTION_REVIEW) or actor.grants(Permission.AUDIT_READ)


def _barred(parts: list[str], who: str = "Somebody who had no part in it must.") -> str:
    return f"You cannot: {'; '.join(parts)}. {who}" if parts else ""
