"""What a check found, as rows: digested, written, and drawn in the lineage, whoever measured it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.canonical import digest
from governance.models import CheckRun, EvidenceTable, Finding, Measurement
from registry import lineage
from registry.models import DatasetVersion, EdgeKind, NodeKind


@dataclass(frozen=True)
class Rows:
    """Measurements, findings and tables of one run, as plain JSON values that were validated before."""

    measurements: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    tables: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        measurements: Iterable[Mapping[str, Any]],
        findings: Iterable[Mapping[str, Any]],
        tables: Iterable[Mapping[str, Any]],
    ) -> Rows:
        """Return the rows with mappings of their own."""
        return cls(list(map(dict, measurements)), list(map(dict, findings)), list(map(dict, tables)))

    @cached_property
    def digest(self) -> str:
        """The digest of all rows."""
        return digest({"measurements": self.measurements, "findings": self.findings, "tables": self.tables})

    @property
    def tables_digest(self) -> str:
        """The digest of the tables alone; empty if there are none."""
        return digest({"tables": self.tables}) if self.tables else ""

    def write(self, run: CheckRun) -> None:
        """Insert all rows for a run; in the caller's transaction."""
        Measurement.objects.bulk_create([Measurement(run=run, **row) for row in self.measurements])
        Finding.objects.bulk_create([Finding(run=run, **row) for row in self.findings])
        EvidenceTable.objects.bulk_create([EvidenceTable(run=run, **row) for row in self.tables])


def record_evaluation(run: CheckRun, further: Iterable[DatasetVersion] = ()) -> None:
    """Draw in the lineage on which data sets the version was measured. further: besides the run's own."""
    for dataset in filter(None, [run.dataset_version, *further]):
        data = lineage.node(NodeKind.DATASET, str(dataset), str(dataset), digest=dataset.digest, rows=dataset.row_count)
        lineage.link(data, lineage.version_node(run.version), EdgeKind.EVALUATED_ON, digest=dataset.digest)
