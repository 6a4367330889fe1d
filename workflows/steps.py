"""What several commands do in their own transactions: ask for checks, and approve once the gate is satisfied."""

from __future__ import annotations

from core import jobs
from core.access import Actor
from core.audit import Event
from governance.commands.checks import queue_check, resolve_checks
from governance.models import Decision, DecisionPurpose
from workflows import task_rows
from workflows.assessment import Assessment, pins_of, store_decision
from workflows.lifecycle import EXECUTE, move
from workflows.models import PromotionRequest, RequestCheck
from workflows.reported import follow_reports


def queue_checks(actor: Actor, request: PromotionRequest) -> None:
    """Queue what the pinned policies ask to be measured, on the candidate and, for comparison, on the champion.

    What lies in a store that is not kept here cannot be measured. What pipelines elsewhere report is taken as far as it is there. In the
    caller's transaction.
    """
    compared = [("candidate", request.version), ("champion", request.champion)]
    subjects = [(role, version) for role, version in compared if version is not None and version.content_digest]
    for pin in pins_of(request):
        for check in resolve_checks(pin.compiled, pin.parameters):
            for role, version in subjects:
                other = request.champion if role == "candidate" else None
                run = queue_check(actor=actor, version=version, check=check, champion=other)
                RequestCheck.objects.get_or_create(request=request, run=run, defaults={"role": role})
    follow_reports(request)


def approve_if_satisfied(actor: Actor, request: PromotionRequest, assessment: Assessment) -> None:
    """Approve a request in review whose gate says yes, else see to it that the right people are asked.

    In the caller's transaction.
    """
    if request.state != "in_review":
        return
    if not assessment.verdict.satisfied:
        task_rows.follow(request, assessment)
        return
    decision = store_decision(request.version, assessment, DecisionPurpose.APPROVE, request)
    move(actor, request, "satisfied", Event.PROMOTION_APPROVED, **told(decision))
    jobs.enqueue(EXECUTE, request_id=request.pk)


def told(decision: Decision) -> dict[str, str]:
    """Return how an event names a decision."""
    return {"decision": str(decision.pk), "facts": decision.facts_digest, "verdict": decision.verdict_digest}
