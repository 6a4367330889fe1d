"""What is known about versions, read from the database in a constant number of statements and told as facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from core.canonical import digest
from governance.facts import CheckFact, FindingFact, Measured, VersionFacts, measurement_key
from governance.models import CheckRun, CheckState, Finding, Measurement, ModelCard
from registry.models import ModelVersion
from tracking.models import Run

NO_CARD = digest({"sections": {}})  # what is read where nobody wrote one


class Evidence:
    """What was measured and written about some versions, from which facts are made by the runs that count."""

    def __init__(self, versions: Iterable[ModelVersion], runs: Iterable[CheckRun]) -> None:
        """Read it in four statements, whatever the number of versions. runs: all that may count for one of them."""
        versions, runs = list(versions), list(runs)
        checks = {run.pk: run.check_name for run in runs}
        self._measured: dict[Any, dict[str, Measured]] = defaultdict(dict)
        for row in Measurement.objects.filter(run__in=list(checks)).order_by("pk"):
            if row.value is not None:
                self._measured[row.run_id][measurement_key(row.metric, row.slice)] = Measured(
                    row.metric, row.value, row.slice, row.n, row.ci_low, row.ci_high, row.method
                )
        self._findings: dict[Any, list[FindingFact]] = defaultdict(list)
        for found in Finding.objects.filter(run__in=list(checks)).order_by("pk"):
            fact = FindingFact(checks[found.run_id], found.rule, found.severity, found.location, found.message)
            self._findings[found.run_id].append(fact)
        ids = [version.pk for version in versions]
        self._cards = {card.version_id: card for card in ModelCard.objects.filter(version__in=ids).order_by("revision")}
        owners = Run.objects.filter(pk__in=[version.run_id for version in versions if version.run_id])
        self._owners = dict(owners.values_list("pk", "created_by__username"))

    def facts(self, version: ModelVersion, runs: Iterable[CheckRun] = ()) -> VersionFacts:
        """Return a version's facts. runs: those that count for it, of each check one.

        Of a run that read another card than the newest nothing counts: it stands as one that is still to be done.
        """
        runs = list(runs)
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
            measurements={key: value for run in counting for key, value in self._measured.get(run.pk, {}).items()},
            findings=tuple(found for run in counting for found in self._findings.get(run.pk, ())),
            checks={run.check_name: _check(run, outdated=run.pk in outdated) for run in runs},
            card=dict(card.sections) if card else {},
            card_digest=card.digest if card else "",
        )


def _check(run: CheckRun, *, outdated: bool) -> CheckFact:
    if outdated:
        return CheckFact(run.check_name, CheckState.QUEUED, str(run.pk), reason="The card has changed since it was read.")
    return CheckFact(run.check_name, run.state, str(run.pk), run.result_digest, run.error_message, run.tables_digest)
