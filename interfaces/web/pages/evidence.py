"""The tables that checks made, drawn: bars by group and feature, ROC and calibration curves, and the numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from governance.queries import CheckRunRow, TableRow
from interfaces.web import charts
from interfaces.web.pages import words
from workflows.queries.requests import RequestPage

_MOST_FEATURES = 12


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and its numbers."""

    anchor: str
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
        drawn += [_figure(run, table, twins.get(table.name), limits, version, other) for table in run.tables]
    return tuple(drawn)


def _figure(
    run: CheckRunRow, table: TableRow, twin: TableRow | None, limits: Mapping[str, float], version: str, other: str
) -> Figure:
    compared = f"Bar {version}, ring {other}." if twin else f"{version}."
    drawing, note = None, ""
    rows = table.rows
    if table.name == "selection_rates":
        drawing = _rates(table, twin, limits, version, other)
        note = f"As a share of the group selected most. {compared}"
    elif table.name == "feature_attribution":
        drawing = _features(table, twin, version, other)
        note = f"How much ranking worsens when a feature is shuffled. {compared}"
    elif table.name == "roc_curve":
        drawing = _roc(run, table, twin, version, other)
        note = f"{version} solid{f', {other} dashed' if twin else ''}. The diagonal is chance."
    elif table.name == "calibration":
        drawing = _calibration(table, twin, version, other)
        note = f"{version} solid{f', {other} dashed' if twin else ''}. The diagonal is perfect."
        rows = [row for row in rows if _column(table, row, "rows") != 0]
    if run.dataset:
        note = f"{note} Data {run.dataset}.".strip()
    most = 60
    return Figure(
        anchor=f"table-{run.check}-{table.name}",
        title=table.title or words.sentence(table.name),
        note=note,
        drawing=drawing,
        columns=tuple(words.sentence(name) for name in table.columns),
        rows=tuple(tuple(_cell(value) for value in row) for row in rows[:most]),
        left_out=max(0, len(rows) - most),
    )


def _rates(table: TableRow, twin: TableRow | None, limits: Mapping[str, float], version: str, other: str) -> SafeString:
    before = (
        {(_column(twin, row, "feature"), _column(twin, row, "group")): _column(twin, row, "impact_ratio") for row in twin.rows}
        if twin
        else {}
    )
    bars: list[charts.Bar] = []
    said: list[str] = []
    feature = None
    for row in table.rows:
        name, group, ratio = (_column(table, row, column) for column in ("feature", "group", "impact_ratio"))
        if name != feature:
            feature = name
            bars.append(charts.Bar(words.sentence(str(name)), heading=True))
        bars.append(charts.Bar(str(group), _number(ratio), _number(before.get((name, group)))))
        said.append(f"{name} {group} {words.number(ratio, 2)}")
    levels = set(limits.values())
    limit = levels.pop() if len(levels) == 1 else None
    label = f"Selection rate relative to the group selected most, {version}: {', '.join(said)}"
    if limit is not None:
        label += f"; limit {words.number(limit, 2)}"
    return charts.bars(bars, label=label, limit=limit, full=1.0)


def _features(table: TableRow, twin: TableRow | None, version: str, other: str) -> SafeString:
    before = {_column(twin, row, "feature"): _column(twin, row, "attribution") for row in twin.rows} if twin else {}
    top = table.rows[:_MOST_FEATURES]
    bars = [
        charts.Bar(
            str(_column(table, row, "feature")),
            _number(_column(table, row, "attribution")),
            _number(before.get(_column(table, row, "feature"))),
        )
        for row in top
    ]
    said = ", ".join(f"{bar.label} {words.number(bar.value)}" for bar in bars)
    return charts.bars(bars, label=f"Attribution of {version}: {said}", places=3)


def _roc(run: CheckRunRow, table: TableRow, twin: TableRow | None, version: str, other: str) -> SafeString:
    area = next((m.value for m in run.measurements if m.metric == "roc_auc" and not m.slice), None)
    name = f"{version}  {words.number(area)}" if area is not None else version
    label = (
        f"ROC curve of {version}"
        + (f", area {words.number(area)}" if area is not None else "")
        + (f", beside {other}" if twin else "")
    )
    return charts.roc(_points(table, 0, 1), _points(twin, 0, 1), label=label, names=(name, other))


def _calibration(table: TableRow, twin: TableRow | None, version: str, other: str) -> SafeString:
    points = _calibrated(table)
    worst = max((abs(x - y) for x, y in points), default=0.0)
    label = f"Calibration of {version} in {len(points)} bins; the farthest is {worst:.2f} from the diagonal"
    return charts.calibration(points, _calibrated(twin), label=label, names=(version, other))


def _calibrated(table: TableRow | None) -> list[charts.Point]:
    if table is None:
        return []
    points = [
        (_number(_column(table, row, "mean_score")), _number(_column(table, row, "share_favourable"))) for row in table.rows
    ]
    return [(x, y) for x, y in points if x is not None and y is not None]


def _points(table: TableRow | None, x: int, y: int) -> list[charts.Point]:
    if table is None:
        return []
    return [(float(row[x]), float(row[y])) for row in table.rows if row[x] is not None and row[y] is not None]


def _column(table: TableRow | None, row: Sequence[Any], name: str) -> Any:
    return row[table.columns.index(name)] if table is not None and name in table.columns else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _cell(value: Any) -> str:
    return words.number(value)
