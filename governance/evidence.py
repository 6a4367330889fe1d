"""What is known about versions, read from the database in a constant number of statements and told as facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from core.canonical import digest
from governance.facts import WORKER, CheckFact, FindingFact, Measured, VersionFacts, measurement_key
from governance.models import CheckRun, CheckState, Finding, Measurement, ModelCard
from registry.models import ModelVersion
from tracking.models import Run

NO_CARD = digest({"sections": {}})  # what is read where nobody wrote one


class Evidence:
    """What was measured and written about some versions, from which facts are made by the runs that count."""

    def __init__(self, versions: Iterable[ModelVersion], runs: Iterable[CheckRun]) -> None:
        """Read it in four statements, whatever the number of versions. runs: all that may count for one of them."""
        versions, runs = list(versions), list(runs)
        of_id = {run.pk: run for run in runs}
        self._measured: dict[Any, dict[str, Measured | None]] = defaultdict(dict)
        for row in Measurement.objects.filter(run__in=list(of_id)).order_by("pk"):
            self._measured[row.run_id][measurement_key(row.metric, row.slice)] = _measured(row, of_id[row.run_id].source)
        self._findings: dict[Any, list[FindingFact]] = defaultdict(list)
        for found in Finding.objects.filter(run__in=list(of_id)).order_by("pk"):
            run = of_id[found.run_id]
            self._findings[found.run_id].append(
                FindingFact(run.check_name, found.rule, found.severity, found.location, found.message, run.source)
            )
        ids = [version.pk for version in versions]
        self._cards = {card.version_id: card for card in ModelCard.objects.filter(version__in=ids).order_by("revision")}
        owners = Run.objects.filter(pk__in=[version.run_id for version in versions if version.run_id])
        self._owners = dict(owners.values_list("pk", "created_by__username"))

    def facts(self, version: ModelVersion, runs: Iterable[CheckRun] = ()) -> VersionFacts:
        """Return a version's facts. runs: those that count for it, of each check one.

        Of a run that read another card than the newest nothing counts: it stands as one that is still to be done.
        """
        runs = sorted(runs, key=lambda run: run.source == WORKER)  # of equal names, what a worker measured stands
        card = self._cards.get(version.pk)
        outdated = {run.pk for run in runs if run.card_digest not in ("", card.digest if card else NO_CARD)}
        counting = [run for run in runs if run.pk not in outdated]
        mlmodel = version.mlmodel or {}
        return VersionFacts(
            present=True,
            number=version.number,
            digest=version.content_digest,
            created_by=version.created_by.username if version.created_by else "",
            run_owner=(self._owners.get(version.run_id) if version.run_id else None) or "",
            signature=bool(mlmodel.get("signature")),
            flavors=tuple(sorted(mlmodel.get("flavors") or {})),
            size_bytes=version.size_bytes,
            measurements=self._measurements(counting),
            findings=tuple(found for run in counting for found in self._findings.get(run.pk, ())),
            checks={run.check_name: _check(run, outdated=run.pk in outdated) for run in runs},
            card=dict(card.sections) if card else {},
            card_digest=card.digest if card else "",
        )

    def _measurements(self, runs: Iterable[CheckRun]) -> dict[str, Measured]:
        """Return what was measured, the reported runs coming first.

        A number that a worker could not compute is not replaced by a reported one.
        """
        found: dict[str, Measured] = {}
        for run in runs:
            for key, value in self._measured.get(run.pk, {}).items():
                if value is not None:
                    found[key] = value
                elif key in found and found[key].source != run.source:
                    del found[key]
        return found


def _measured(row: Measurement, source: str) -> Measured | None:
    if row.value is None:
        return None
    return Measured(row.metric, row.value, row.slice, row.n, row.ci_low, row.ci_high, row.method, source)


def _check(run: CheckRun, *, outdated: bool) -> CheckFact:
    if outdated:
        return CheckFact(run.check_name, CheckState.QUEUED, str(run.pk), reason="The card has changed since it was read.")
    return CheckFact(
        run.check_name,
        run.state,
        str(run.pk),
        run.result_digest,
        run.error_message,
        run.tables_digest,
        run.source,
        run.signed_by,
    )
