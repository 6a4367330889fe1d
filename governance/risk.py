"""Waivers in force and findings that are open, as the gate sees them, and whose hands were on the waivers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from governance.facts import OpenFinding, WaiverFact
from governance.models import FindingRecord, FindingStatus, Waiver, WaiverRuling, WaiverVerdict
from registry.models import ModelVersion, RegisteredModel


def in_force(at: datetime) -> QuerySet[Any]:
    """Return the waivers that count at a time: approved by then, neither revoked by then nor past their end.

    Each has ``approver``, the username of who approved it.
    """
    rulings = WaiverRuling.objects.filter(waiver=OuterRef("pk"), ruled_at__lte=at)
    approved = rulings.filter(verdict=WaiverVerdict.APPROVED)
    revoked = rulings.filter(verdict=WaiverVerdict.REVOKED)
    rows = Waiver.objects.filter(Exists(approved), ~Exists(revoked), expires_at__gt=at)
    return rows.annotate(approver=Subquery(approved.values("ruled_by__username")[:1]))


def waiver_facts(version: ModelVersion, at: datetime) -> tuple[WaiverFact, ...]:
    """Return the waivers that count for a version at a time, its own and those of the whole model; one statement.

    Of several for one requirement the one that lasts longest comes last.
    """
    return tuple(
        WaiverFact(
            id=row.pk,
            policy=row.policy,
            requirement=row.requirement,
            scope=row.scope,
            reason=row.reason,
            compensating_control=row.compensating_control,
            approved_by=row.approver,
            expires_at=row.expires_at.astimezone(UTC).isoformat(),
        )
        for row in _of_version(version, at).order_by("expires_at", "pk")
    )


def waiver_hands(version: ModelVersion, at: datetime | None = None, policies: Collection[str] | None = None) -> dict[str, str]:
    """Return who asked for or approved the waivers in force for a version -> what they did, in words; one statement.

    They may not review what is waived; neither may who answers for a service account that asked. at: now unless given.
    policies: only waivers of these.
    """
    rows = _of_version(version, at or timezone.now())
    if policies is not None:
        rows = rows.filter(policy__in=policies)
    hands: dict[str, str] = {}
    for row in rows.select_related("requested_by__responsible").order_by("pk"):
        of = f"the waiver of {row.requirement} ({row.policy})"
        hands.setdefault(row.approver, f"approved {of}")
        hands.setdefault(row.requested_by.username, f"asked for {of}")
        if row.requested_by.responsible is not None:
            hands.setdefault(
                row.requested_by.responsible.username, f"answers for {row.requested_by.username}, who asked for {of}"
            )
    return hands


def open_finding_facts(model: RegisteredModel, at: datetime) -> tuple[OpenFinding, ...]:
    """Return the findings on a model that are not closed, whichever version they were raised on; one statement.

    One is overdue from the day after the one it was due on, by UTC.
    """
    rows = FindingRecord.objects.filter(model=model, status=FindingStatus.OPEN).order_by("pk")
    today = at.astimezone(UTC).date()
    found = rows.values_list("pk", "title", "severity", "source", "version__number", "owner__username", "due_on")
    return tuple(
        OpenFinding(pk, title, severity, source, number, owner or "", due.isoformat() if due else "", bool(due and due < today))
        for pk, title, severity, source, number, owner, due in found
    )


def _of_version(version: ModelVersion, at: datetime) -> QuerySet[Any]:
    return in_force(at).filter(Q(version__isnull=True) | Q(version=version), model_id=version.model_id)
