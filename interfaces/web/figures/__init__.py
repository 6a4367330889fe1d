"""The tables that checks made, drawn where their name says how, and always shown as numbers, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.utils.safestring import SafeString

from governance.queries import CheckRunRow, TableRow
from interfaces.web.figures.comparison import Comparison
from interfaces.web.figures.registry import KINDS
from interfaces.web.pages import words
from workflows.queries.requests import RequestPage

_MOST_ROWS = 60


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and its numbers. A table of a name that nobody draws has no drawing."""

    anchor: str
    check: str
    run: UUID
    title: str
    note: str
    drawing: SafeString | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def limits(page: RequestPage) -> dict[str, float]:
    """Return the limit a policy sets on each feature's parity ratio, by feature.

    A requirement names no metric, so it is found by its value: the one this version was measured to have.
    """
    found: dict[str, float] = {}
    for measured in page.candidate.measurements.values():
        if measured.metric != "demographic_parity_ratio":
            continue
        for result in page.verdict.requirements:
            if isinstance(result.limit, float) and result.limit_is == "at_least" and result.value == measured.value:
                found[measured.slice] = result.limit
    return found


def figures(
    candidate: Mapping[str, CheckRunRow],
    champion: Mapping[str, CheckRunRow],
    *,
    limits: Mapping[str, float],
    version: str,
    other: str,
) -> tuple[Figure, ...]:
    """Return the figures of the candidate's runs, beside the champion's where both were measured."""
    drawn: list[Figure] = []
    for check, run in candidate.items():
        twins = {table.name: table for table in champion[check].tables} if check in champion else {}
        drawn += [_figure(Comparison(run, table, twins.get(table.name), limits, version, other)) for table in run.tables]
    return tuple(drawn)


def _figure(compared: Comparison) -> Figure:
    run, table = compared.run, compared.table
    drawing = KINDS[table.name].of(compared) if table.name in KINDS else None
    note = drawing.note if drawing else ""
    if run.dataset:
        note = f"{note} Data {run.dataset}.".strip()
    rows = [row for i, row in enumerate(table.rows) if drawing is None or i not in drawing.without]
    return Figure(
        anchor=f"table-{run.check}-{table.name}",
        check=run.check,
        run=run.id,
        title=_title(table),
        note=note,
        drawing=drawing.svg if drawing else None,
        columns=tuple(words.column(name) for name in table.columns),
        rows=tuple(tuple(words.number(value) for value in row) for row in rows[:_MOST_ROWS]),
        left_out=max(0, len(rows) - _MOST_ROWS),
    )


def _title(table: TableRow) -> str:
    return table.title or words.sentence(table.name)
