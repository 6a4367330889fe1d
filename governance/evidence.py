"""What is known about versions, gathered from the database into facts in a constant number of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from core.canonical import digest
from governance.facts import CheckFact, FindingFact, Measured, VersionFacts, measurement_key
from governance.models import CheckRun, CheckState, Finding, Measurement, ModelCard
from registry.models import ModelVersion
from tracking.models import Run

NO_CARD = digest({"sections": {}})  # what is read where nobody wrote one


def gather(versions: Iterable[ModelVersion], runs: Mapping[int, Iterable[CheckRun]]) -> dict[int, VersionFacts]:
    """Return each version's facts by its id.

    runs: version id -> the check runs whose results count for it. Of a run that read another card than the newest nothing counts: it
    stands as one that is still to be done. Five statements whatever the number of versions.
    """
    versions = list(versions)
    ids = [version.pk for version in versions]
    all_runs = [run for group in runs.values() for run in group]
    run_version = {run.pk: run for run in all_runs}
    measured: dict[Any, dict[str, Measured]] = defaultdict(dict)
    for row in Measurement.objects.filter(run__in=list(run_version)).order_by("pk"):
        if row.value is not None:
            measured[row.run_id][measurement_key(row.metric, row.slice)] = Measured(
                row.metric, row.value, row.slice, row.n, row.ci_low, row.ci_high, row.method
            )
    findings: dict[Any, list[FindingFact]] = defaultdict(list)
    for found in Finding.objects.filter(run__in=list(run_version)).order_by("pk"):
        check = run_version[found.run_id].check_name
        findings[found.run_id].append(FindingFact(check, found.rule, found.severity, found.location, found.message))
    cards = {card.version_id: card for card in ModelCard.objects.filter(version__in=ids).order_by("revision")}
    owners = dict(Run.objects.filter(pk__in=[v.run_id for v in versions if v.run_id]).values_list("pk", "created_by__username"))
    return {
        v.pk: _version(v, list(runs.get(v.pk, ())), measured, findings, cards.get(v.pk), owners.get(v.run_id)) for v in versions
    }


def _version(
    version: ModelVersion,
    runs: list[CheckRun],
    measured: Mapping[Any, dict[str, Measured]],
    findings: Mapping[Any, list[FindingFact]],
    card: ModelCard | None,
    run_owner: str | None,
) -> VersionFacts:
    mlmodel = version.mlmodel or {}
    outdated = {run.pk for run in runs if run.card_digest not in ("", card.digest if card else NO_CARD)}
    counting = [run for run in runs if run.pk not in outdated]
    return VersionFacts(
        present=True,
        number=version.number,
        digest=version.content_digest,
        created_by=version.created_by.username if version.created_by else "",
        run_owner=run_owner or "",
        signature=bool(mlmodel.get("signature")),
        flavors=tuple(sorted(mlmodel.get("flavors") or {})),
        size_bytes=version.size_bytes,
        measurements={key: value for run in counting for key, value in measured.get(run.pk, {}).items()},
        findings=tuple(f for run in counting for f in findings.get(run.pk, ())),
        checks={run.check_name: _check(run, outdated=run.pk in outdated) for run in runs},
        card=dict(card.sections) if card else {},
        card_digest=card.digest if card else "",
    )


def _check(run: CheckRun, *, outdated: bool) -> CheckFact:
    if outdated:
        return CheckFact(run.check_name, CheckState.QUEUED, str(run.pk), reason="The card has changed since it was read.")
    return CheckFact(run.check_name, run.state, str(run.pk), run.result_digest, run.error_message, run.tables_digest)
