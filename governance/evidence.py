"""What is known about versions, gathered from the database into facts in a constant number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from governance.facts import WORKER, CheckFact, FindingFact, Measured, VersionFacts, measurement_key
from governance.models import CheckRun, Finding, Measurement, ModelCard
from registry.models import ModelVersion
from tracking.models import Run


def gather(versions: Iterable[ModelVersion], runs: Mapping[int, Iterable[CheckRun]]) -> dict[int, VersionFacts]:
    """Return each version's facts by its id.

    runs: version id -> the check runs whose results count for it. Five statements whatever the number of versions.
    """
    versions = list(versions)
    ids = [version.pk for version in versions]
    all_runs = [run for group in runs.values() for run in group]
    run_version = {run.pk: run for run in all_runs}
    measured: dict[Any, dict[str, Measured | None]] = defaultdict(dict)
    for row in Measurement.objects.filter(run__in=list(run_version)).order_by("pk"):
        measured[row.run_id][measurement_key(row.metric, row.slice)] = (
            Measured(
                row.metric,
                row.value,
                row.slice,
                row.n,
                row.ci_low,
                row.ci_high,
                row.method,
                run_version[row.run_id].source,
            )
            if row.value is not None
            else None
        )
    findings: dict[Any, list[FindingFact]] = defaultdict(list)
    for found in Finding.objects.filter(run__in=list(run_version)).order_by("pk"):
        run = run_version[found.run_id]
        findings[found.run_id].append(
            FindingFact(run.check_name, found.rule, found.severity, found.location, found.message, run.source)
        )
    cards = {card.version_id: card for card in ModelCard.objects.filter(version__in=ids).order_by("revision")}
    owners = dict(Run.objects.filter(pk__in=[v.run_id for v in versions if v.run_id]).values_list("pk", "created_by__username"))
    return {
        v.pk: _version(v, list(runs.get(v.pk, ())), measured, findings, cards.get(v.pk), owners.get(v.run_id)) for v in versions
    }


def _version(
    version: ModelVersion,
    runs: list[CheckRun],
    measured: Mapping[Any, dict[str, Measured | None]],
    findings: Mapping[Any, list[FindingFact]],
    card: ModelCard | None,
    run_owner: str | None,
) -> VersionFacts:
    mlmodel = version.mlmodel or {}
    runs = sorted(runs, key=lambda run: run.source == WORKER)  # of equal names, what a worker measured stands
    return VersionFacts(
        present=True,
        number=version.number,
        digest=version.content_digest,
        created_by=version.created_by.username if version.created_by else "",
        run_owner=run_owner or "",
        signature=bool(mlmodel.get("signature")),
        flavors=tuple(sorted(mlmodel.get("flavors") or {})),
        size_bytes=version.size_bytes,
        measurements=_measurements(runs, measured),
        findings=tuple(f for run in runs for f in findings.get(run.pk, ())),
        checks={
            run.check_name: CheckFact(
                run.check_name,
                run.state,
                str(run.pk),
                run.result_digest,
                run.error_message,
                run.tables_digest,
                run.source,
                run.signed_by,
            )
            for run in runs
        },
        card=dict(card.sections) if card else {},
        card_digest=card.digest if card else "",
    )


def _measurements(runs: Iterable[CheckRun], measured: Mapping[Any, dict[str, Measured | None]]) -> dict[str, Measured]:
    """Return what was measured, the reported runs coming first: a number that a worker could not compute is not replaced by a reported one."""
    found: dict[str, Measured] = {}
    for run in runs:
        for key, value in measured.get(run.pk, {}).items():
            if value is not None:
                found[key] = value
            elif key in found and found[key].source != run.source:
                del found[key]
    return found
