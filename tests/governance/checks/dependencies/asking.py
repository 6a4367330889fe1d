"""A run of the check on what a model asks for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd

from governance.checks.base import Finding, Measurement, Table
from governance.checks.dependencies import Dependencies
from governance.checks.inventory.components import collect
from governance.checks.inventory.files import Entry
from governance.checks.subject import Subject

ADVISORY = ["package", "id", "severity", "affected", "summary"]
COLUMNS = ("name", "version", "purl", "licence", "source", "advisories")
SERIAL = UUID("3e671687-395b-41f5-a30f-a58921a69b79")
REQUESTS_ADVISORY = ("requests", "GHSA-j8r2", "medium", "<2.31.0,>=2.3.0", "Leaks Proxy-Authorization.")


@dataclass(frozen=True)
class Outcome:
    """What one run gave."""

    findings: list[Finding]
    measurements: dict[tuple[str, str], Measurement]
    table: Table

    def __getitem__(self, metric: str) -> float | None:
        name, _, slice = metric.partition(":")
        return self.measurements[f"dependencies.{name}", slice].value

    @property
    def rules(self) -> list[tuple[str, str]]:
        return sorted((each.rule, each.location) for each in self.findings)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(self.table.columns, row, strict=True)) for row in self.table.rows]

    def the(self, rule: str) -> Finding:
        found = [each for each in self.findings if each.rule == rule]
        assert len(found) == 1, self.findings
        return found[0]


def run(model: Subject | Path, check: Dependencies = Dependencies()) -> Outcome:  # noqa: B008  # it is frozen
    results = list(check.run(Subject(model) if isinstance(model, Path) else model))
    measurements = {(each.metric, each.slice): each for each in results if isinstance(each, Measurement)}
    table = results[-1]
    assert isinstance(table, Table) and table.columns == COLUMNS and all(len(row) == len(COLUMNS) for row in table.rows)
    return Outcome([each for each in results if isinstance(each, Finding)], measurements, table)


def saved_as(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def one(text: str, *, conda: bool = False) -> tuple[str, str, str, list[str]]:
    """Return (name, version, purl, rules) of a single requirement; the first three are "" if it names no component."""
    inventory = collect([Entry(text, "here", conda)])
    rules = [each.rule for each in inventory.findings]
    if not inventory.components:
        assert rules and inventory.nameless == 1  # whatever names no component is said and counted
        return "", "", "", rules
    assert inventory.nameless == 0
    component = inventory.components[0]
    return component.name, component.version, component.purl, rules
