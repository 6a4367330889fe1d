"""Put problems with a model on record, and keep them there until somebody closes them with evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import access, audit
from core.access import Actor, Permission
from core.audit import Event
from core.errors import Conflict, Denied, Invalid, NotFound
from core.models import User
from governance.models import MEASURED, CheckRun, FindingChange, FindingRecord, FindingSource, FindingStatus, Severity
from registry import rows
from registry.models import ModelVersion, RegisteredModel
from workflows import notifications
from workflows.lifecycle import wake_model
from workflows.makers import makers_of
from workflows.rules.separation_of_duties import parts_of

GRAVE = (Severity.HIGH, Severity.CRITICAL)
_LONGEST_KEY = 300


@transaction.atomic
def raise_finding(
    *,
    actor: Actor,
    model_name: str,
    title: str,
    severity: str,
    version: int | None = None,
    description: str = "",
    owner: str = "",
    due_on: date | None = None,
) -> FindingRecord:
    """Put a problem with a model on record: who reviews, who audits and who may write the model may.

    version: the one it was seen on; the newest unless given. It counts for every version until it is closed.
    owner: who is to see to it, by the account's name. Raises Invalid, NotFound, Denied.
    """
    model = rows.model(actor, Permission.MODEL_READ, model_name, lock=True)
    _require_voice(actor, model)
    if not title.strip() or len(title.strip()) > 200:
        raise Invalid("Say in a line of at most 200 characters what is wrong.")
    finding = FindingRecord.objects.create(
        model=model,
        version=_version(model, version),
        source=FindingSource.REVIEWER,
        title=title.strip(),
        description=description.strip(),
        severity=_severity(severity),
        owner=_owner(owner),
        due_on=due_on,
        raised_by_id=actor.user_id,
    )
    _record(actor, finding, "raised", Event.FINDING_RAISED, by=actor.user_id)
    _tell_owner(actor, finding, "raised")
    wake_model(model.name)
    return finding


@transaction.atomic
def update_finding(
    *,
    actor: Actor,
    finding_id: int,
    severity: str | None = None,
    owner: str | None = None,
    due_on: date | Literal[""] | None = None,
    comment: str = "",
) -> FindingRecord:
    """Change what is given of an open finding; ``""`` takes the owner or the due date away.

    To make a high or critical one less grave, or due later, takes somebody else than its owner, as closing it does.
    Raises NotFound, Denied, Invalid, or Conflict for one that is closed.
    """
    finding = _locked(actor, finding_id)
    if finding.owner_id is None or finding.owner_id != actor.user_id:
        _require_voice(actor, finding.model)
    if finding.status != FindingStatus.OPEN:
        raise Conflict(f"Finding {finding_id} is closed; reopen it to change it.", code="finding_closed")
    before = _shown(finding)
    eased = False
    if severity is not None:
        grades = list(Severity.values)
        eased = grades.index(_severity(severity)) < grades.index(finding.severity)
        finding.severity = severity
    if due_on is not None:
        due = due_on or None
        eased = eased or (finding.due_on is not None and (due is None or due > finding.due_on))
        finding.due_on = due
    if eased and before["severity"] in GRAVE:
        _require_another(actor, finding, "make it less pressing")
    if owner is not None:
        finding.owner = _owner(owner)
    if _shown(finding) == before:
        raise Invalid("Nothing would change: give another severity, owner or due date.")
    finding.save(update_fields=["severity", "owner", "due_on"])
    _record(actor, finding, "updated", Event.FINDING_UPDATED, by=actor.user_id, comment=comment.strip(), before=before)
    if before["owner"] != _shown(finding)["owner"]:
        _tell_owner(actor, finding, "given to you")
    wake_model(finding.model.name)
    return finding


@transaction.atomic
def close_finding(*, actor: Actor, finding_id: int, comment: str, check_run: UUID | str | None = None) -> FindingRecord:
    """Close a finding with evidence: what was done about it, and perhaps a check run that shows it.

    A high or critical one is closed by a reviewer or auditor who neither owns nor owned it and had no part in the version.
    Raises NotFound, Denied, Conflict when it is closed already, Invalid without a comment or for a run that shows nothing.
    """
    finding = _locked(actor, finding_id)
    if finding.severity in GRAVE:
        _require_another(actor, finding, "close it")
    elif finding.owner_id is None or finding.owner_id != actor.user_id:
        _require_voice(actor, finding.model)
    if finding.status != FindingStatus.OPEN:
        raise Conflict(f"Finding {finding_id} is closed already.", code="finding_closed")
    if not comment.strip():
        raise Invalid("Say what was done about it: a finding is closed with evidence.")
    run = _evidence(finding, check_run) if check_run is not None else None
    before = _shown(finding)
    finding.status, finding.closed_at = FindingStatus.CLOSED, timezone.now()
    finding.save(update_fields=["status", "closed_at"])
    _record(actor, finding, "closed", Event.FINDING_CLOSED, by=actor.user_id, comment=comment.strip(), before=before, run=run)
    wake_model(finding.model.name)
    return finding


@transaction.atomic
def reopen_finding(*, actor: Actor, finding_id: int, comment: str) -> FindingRecord:
    """Open a closed finding again. Raises NotFound, Denied, Conflict when it is open, Invalid without a reason."""
    finding = _locked(actor, finding_id)
    _require_voice(actor, finding.model)
    if finding.status != FindingStatus.CLOSED:
        raise Conflict(f"Finding {finding_id} is open.", code="finding_open")
    if not comment.strip():
        raise Invalid("Say why it is open again.")
    _reopen(actor, finding, by=actor.user_id, comment=comment.strip())
    _tell_owner(actor, finding, "opened again")
    wake_model(finding.model.name)
    return finding


@transaction.atomic
def note_finding(
    *,
    actor: Actor,
    version: ModelVersion,
    source: str,
    key: str,
    title: str,
    severity: str,
    description: str = "",
    comment: str = "",
    run: CheckRun | None = None,
    owner: User | None = None,
) -> FindingRecord:
    """Put on record what the system noticed; by its key an open finding is left as it is, and a closed one opened again.

    To be called in the transaction of what was noticed, by commands that have checked the actor's right.
    """
    finding = _by_key(version.model, key)
    if finding is None:
        try:
            with transaction.atomic():
                finding = FindingRecord.objects.create(
                    model=version.model,
                    version=version,
                    source=source,
                    key=key,
                    title=title[:200],
                    description=description,
                    severity=severity,
                    owner=owner,
                )
        except IntegrityError:  # noticed by another at the same instant
            return FindingRecord.objects.get(model=version.model, key=key)
        _record(actor, finding, "raised", Event.FINDING_RAISED, by=None, comment=comment, run=run)
        _tell_owner(actor, finding, "raised")
    elif finding.status == FindingStatus.CLOSED:
        _reopen(actor, finding, by=None, comment=comment or "noticed again", version=version, severity=severity, run=run)
        _tell_owner(actor, finding, "opened again")
    else:
        return finding
    wake_model(version.model.name)
    return finding


@transaction.atomic
def raise_from_check(*, actor: Actor, run: CheckRun) -> int:
    """Put on record what a finished check run found that is high or critical; return how many findings it reported so.

    A step of the transaction that keeps the run's result. The same problem at the same place is one finding however often it
    is found, and opens again after it was closed.
    """
    found = run.findings.filter(severity__in=GRAVE).order_by("pk")
    gravest_last = sorted(found, key=lambda row: GRAVE.index(row.severity))
    by_key = {_check_key(run.check_name, row.rule, row.location): row for row in gravest_last}
    # In the order of their keys, so that of two runs that find the same one waits for the other instead of both for each other.
    for key, row in sorted(by_key.items()):
        note_finding(
            actor=actor,
            version=run.version,
            source=FindingSource.CHECK,
            key=key,
            title=f"{run.check_name}: {row.message}",
            severity=row.severity,
            description=f"{row.message}\n\nRule {row.rule}" + (f" at {row.location}" if row.location else ""),
            comment=f"found by {run.check_name} on {run.version}",
            run=run,
        )
    return len(by_key)


def _check_key(check: str, rule: str, location: str) -> str:
    key = f"check:{check}:{rule}:{location}"
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 65]}#{hashlib.sha256(key.encode()).hexdigest()}"


def _locked(actor: Actor, finding_id: int) -> FindingRecord:
    """Return a finding with its row locked. Raises NotFound when absent or hidden."""
    rows = FindingRecord.objects.select_for_update(of=("self",)).select_related("model", "version__model", "owner")
    finding = rows.filter(pk=finding_id).first()
    if finding is None or not access.explain(actor, Permission.MODEL_READ, finding.model).allowed:
        raise NotFound(f"There is no finding {finding_id}, or you may not see it.")
    return finding


def _by_key(model: RegisteredModel, key: str) -> FindingRecord | None:
    rows = FindingRecord.objects.select_for_update(of=("self",)).select_related("model", "version__model", "owner")
    return rows.filter(model=model, key=key).first()


def _require_voice(actor: Actor, model: RegisteredModel) -> None:
    """Raise Denied unless the actor reviews, audits or may write the model."""
    if not (actor.grants(Permission.PROMOTION_REVIEW) or actor.grants(Permission.AUDIT_READ)):
        access.require(actor, Permission.MODEL_WRITE, model)


def _require_another(actor: Actor, finding: FindingRecord, what: str) -> None:
    """Raise Denied unless the actor is a second pair of eyes on a grave finding."""
    if not (actor.grants(Permission.PROMOTION_REVIEW) or actor.grants(Permission.AUDIT_READ)):
        raise Denied(
            f"Finding {finding.pk} is {finding.severity}: a reviewer or an auditor must {what}.", code="second_pair_of_eyes"
        )
    owners = {state.get("owner") for change in finding.changes.all() for state in (change.before, change.after)}
    if finding.owner is not None:
        owners.add(finding.owner.username)
    parts = ["you own it, or did"] if actor.username in owners else []
    parts += parts_of(actor.username, makers_of(finding.version, requested_by=None))
    if parts:
        raise Denied(
            f"You cannot {what}: {'; '.join(parts)}. Finding {finding.pk} needs somebody else to look.",
            code="second_pair_of_eyes",
        )


def _version(model: RegisteredModel, number: int | None) -> ModelVersion:
    rows = ModelVersion.objects.select_related("model").filter(model=model, deleted_at__isnull=True).order_by("-number")
    found = rows.first() if number is None else rows.filter(number=number).first()
    if found is None:
        if number is None:
            raise Invalid(f"{model.name} has no version yet that a finding could be about.")
        raise NotFound(f"There is no version {number} of {model.name!r}.")
    return found


def _severity(severity: str) -> str:
    if severity not in Severity.values:
        raise Invalid(f"The severity is one of {', '.join(Severity.values)}.")
    return severity


def _owner(username: str) -> User | None:
    if not username:
        return None
    found = User.objects.filter(username=username, is_active=True).first()
    if found is None:
        raise Invalid(f"There is no account {username!r} that could own a finding.")
    return found


def _evidence(finding: FindingRecord, run_id: UUID | str) -> CheckRun:
    run = CheckRun.objects.filter(pk=run_id, version__model=finding.model).first()
    if run is None:
        raise Invalid(f"There is no check run {run_id} of {finding.model.name}.")
    if run.state not in MEASURED:
        raise Invalid(f"The check run {run_id} is {run.state}; only one with a result shows anything.")
    return run


def _reopen(
    actor: Actor,
    finding: FindingRecord,
    *,
    by: int | None,
    comment: str,
    version: ModelVersion | None = None,
    severity: str | None = None,
    run: CheckRun | None = None,
) -> None:
    before = _shown(finding)
    finding.status, finding.closed_at = FindingStatus.OPEN, None
    finding.version = version or finding.version
    finding.severity = severity or finding.severity
    finding.save(update_fields=["status", "closed_at", "version", "severity"])
    _record(actor, finding, "reopened", Event.FINDING_REOPENED, by=by, comment=comment, before=before, run=run)


def _shown(finding: FindingRecord) -> dict[str, Any]:
    return {
        "status": str(finding.status),
        "severity": str(finding.severity),
        "owner": finding.owner.username if finding.owner else "",
        "due_on": finding.due_on.isoformat() if finding.due_on else "",
        "version": finding.version.number,
    }


def _record(
    actor: Actor,
    finding: FindingRecord,
    action: str,
    event: Event,
    *,
    by: int | None,
    comment: str = "",
    before: Mapping[str, Any] | None = None,
    run: CheckRun | None = None,
) -> None:
    after = _shown(finding)
    FindingChange.objects.create(
        finding=finding, action=action, by_id=by, comment=comment, evidence_run=run, before=dict(before or {}), after=after
    )
    said: dict[str, Any] = {"comment": comment, "check_run": str(run.pk) if run else ""}
    audit.record(
        actor,
        event,
        subject=("finding", finding.pk),
        scope=f"model:{finding.model_id}",
        before=dict(before) if before is not None else None,
        after={"model": finding.model.name, "title": finding.title, "source": str(finding.source), **after},
        **{name: value for name, value in said.items() if value},
    )


def _tell_owner(actor: Actor, finding: FindingRecord, what: str) -> None:
    if finding.owner is not None and finding.owner_id != actor.user_id:
        text = f"Finding {finding.pk} on {finding.model.name} was {what}: {finding.title}"
        notifications.tell([finding.owner], None, "finding", text, f"/models/{finding.model.name}/")
