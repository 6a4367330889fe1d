"""What several commands do in their own transactions: ask for checks, and approve once the gate is satisfied."""

from __future__ import annotations

from core import jobs
from core.access import Actor
from core.audit import Event
from governance.checks import catalogue
from governance.commands.checks import queue_check, queue_on_new_card, resolve_checks
from governance.models import CheckRun, CheckSource, Decision, DecisionPurpose
from workflows import task_rows
from workflows.assessment import Assessment, pins_of, store_decision
from workflows.lifecycle import EXECUTE, move
from workflows.models import PolicyCheck, PromotionRequest, RequestCheck
from workflows.reported import follow_reports


def queue_checks(actor: Actor, request: PromotionRequest) -> None:
    """Queue what the pinned policies ask to be measured, on the candidate and, for comparison, on the champion.

    A check that reads measurements rests on the other checks of its own policy, but for those that read measurements themselves. Runs
    that are not asked for any more count no more. What lies in a store that is not kept here cannot be measured. In the caller's
    transaction. What pipelines elsewhere report is taken as far as it is there.
    """
    asked = []
    compared = [("candidate", request.version), ("champion", request.champion)]
    subjects = [(role, version) for role, version in compared if version is not None and version.content_digest]
    for pin in pins_of(request):
        checks = resolve_checks(pin.compiled, pin.parameters)
        checks.sort(key=lambda check: catalogue.reads_measurements(check.name))  # those that do come last
        siblings: dict[str, list[CheckRun]] = {role: [] for role, _ in subjects}
        for check in checks:
            for role, version in subjects:
                other = request.champion if role == "candidate" else None
                run = queue_check(actor=actor, version=version, check=check, champion=other, siblings=siblings[role])
                if not catalogue.reads_measurements(check.name):
                    siblings[role].append(run)
                link, _ = RequestCheck.objects.get_or_create(request=request, run=run, defaults={"role": role})
                PolicyCheck.objects.get_or_create(policy_id=pin.row, link=link)
                asked.append(run.pk)
    request.checks.filter(run__source=CheckSource.WORKER).exclude(run__in=asked).delete()
    follow_reports(request)


def follow_cards(actor: Actor, request: PromotionRequest, assessment: Assessment) -> bool:
    """Ask anew for the checks that read a card which has changed since; return whether there were any.

    In the caller's transaction. They rest on the same runs as before: nothing else is measured again.
    """
    for link in assessment.outdated:
        version = request.version if link.role == "candidate" else request.champion
        if version is not None:
            run = queue_on_new_card(actor=actor, version=version, run=link.run)
            policies = list(link.asked_by.values_list("policy_id", flat=True))
            link.delete()
            now, _ = RequestCheck.objects.get_or_create(request=request, run=run, defaults={"role": link.role})
            for policy_id in policies:
                PolicyCheck.objects.get_or_create(policy_id=policy_id, link=now)
    return bool(assessment.outdated)


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
