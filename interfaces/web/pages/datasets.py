"""What the pages of data sets show: versions, what the contract asks, how each version kept it, and what measures on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.errors import NotFound
from governance.dataset_uses import DatasetUse
from governance.models import CheckRun
from interfaces.web.pages import documents, words
from interfaces.web.pages.documents import Comparison, Line
from interfaces.web.pages.lineage import explore
from interfaces.web.pages.words import Status
from registry.conformance import Report, Violation
from registry.contracts import ColumnRules, compile_contract
from registry.dataset_contracts import ContractRevision
from registry.datasets import DatasetSummary, DatasetVersionSummary

MOST_COLUMNS = 500
_MOST_VALUES = 20
_KEPT = {True: Status("pass", "Kept"), False: Status("fail", "Broken"), None: Status("wait", "None")}
_RULES = {
    "present": "The column is there",
    "type": "Type",
    "nullable": "No missing values",
    "max_missing": "Missing values",
    "min": "Least value",
    "max": "Most value",
    "allowed": "Allowed values",
    "pattern": "Pattern",
    "unique": "Unique",
    "min_rows": "Rows",
    "other_columns": "No other columns",
}


@dataclass(frozen=True)
class DatasetLine:
    """A data set in the list, with its newest version and how that one kept its contract."""

    row: DatasetSummary
    newest: DatasetVersionSummary | None
    contract: Status


def dataset_line(row: DatasetSummary) -> DatasetLine:
    """Return a data set as the list shows it."""
    newest = row.versions[0] if row.versions else None
    return DatasetLine(row, newest, _KEPT[newest.keeps_contract if newest else None])


@dataclass(frozen=True)
class VersionLine:
    """A version in the list. lineage: where to explore it, or nothing as long as nothing was measured on it."""

    row: DatasetVersionSummary
    contract: Status
    lineage: str


def version_line(row: DatasetVersionSummary, in_lineage: Collection[str]) -> VersionLine:
    """Return a version as the list shows it. in_lineage: the keys that lineage knows."""
    key = node_key(row.reference)
    return VersionLine(row, _KEPT[row.keeps_contract], explore(key) if key in in_lineage else "")


def node_key(reference: str) -> str:
    """Return the key that a version has in lineage once something was measured on it."""
    return f"dataset:{reference}"


@dataclass(frozen=True)
class ColumnLine:
    """What a contract asks of a column, in words; empty where it asks nothing of the kind."""

    name: str
    type: str
    missing: str
    span: str
    values: str
    unique: bool


@dataclass(frozen=True)
class Revision:
    """A revision of a contract among the others."""

    number: int
    digest: str
    published_by: str
    published_at: datetime


@dataclass(frozen=True)
class ContractPage:
    """One revision of a contract, the newest unless another was asked for, or what differs between two."""

    revisions: tuple[Revision, ...]
    shown: Revision
    newest: int
    columns: tuple[ColumnLine, ...]
    left_out: int
    min_rows: int
    other_columns: bool
    lines: tuple[Line, ...]
    against: Revision | None
    comparison: Comparison | None


def contract_page(
    rows: Sequence[ContractRevision], *, revision: int | None = None, against: int | None = None
) -> ContractPage | None:
    """Return what is shown of a data set's contract, or None if it has none. Raises NotFound for a revision that is not there."""
    if revision is None and against is None and not rows:
        return None
    shown = rows[0] if revision is None and rows else _revision(rows, revision)
    other = _revision(rows, against) if against is not None else None
    asked = compile_contract(shown.document)
    return ContractPage(
        revisions=tuple(_as_revision(row) for row in rows),
        shown=_as_revision(shown),
        newest=rows[0].number,
        columns=tuple(_column(column) for column in asked.columns[:MOST_COLUMNS]),
        left_out=max(0, len(asked.columns) - MOST_COLUMNS),
        min_rows=asked.min_rows,
        other_columns=asked.other_columns,
        lines=documents.lines(shown.document),
        against=_as_revision(other) if other else None,
        comparison=documents.compared(other.document, shown.document) if other else None,
    )


def _revision(rows: Sequence[ContractRevision], number: int | None) -> ContractRevision:
    found = next((row for row in rows if row.number == number), None)
    if found is None:
        raise NotFound(f"The contract has no revision {number}.")
    return found


def _as_revision(row: ContractRevision) -> Revision:
    return Revision(row.number, row.digest, row.created_by, row.created_at)


def _column(rules: ColumnRules) -> ColumnLine:
    if rules.max_missing is not None:
        missing = f"at most {100 * rules.max_missing:.4g}% of the rows"
    else:
        missing = "allowed" if rules.nullable else "none"
    return ColumnLine(rules.name, rules.type, missing, _span(rules.min, rules.max), _values(rules), rules.unique)


def _span(low: float | datetime | None, high: float | datetime | None) -> str:
    if low is not None and high is not None:
        return f"{_bound(low)} to {_bound(high)}"
    if low is not None:
        return f"at least {_bound(low)}"
    return f"at most {_bound(high)}" if high is not None else ""


def _bound(value: object) -> str:
    if isinstance(value, datetime):
        return words.moment(value)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _values(rules: ColumnRules) -> str:
    if rules.allowed is None:
        return f"text that fits {rules.pattern}" if rules.pattern is not None else ""
    shown = ", ".join(_bound(each) for each in rules.allowed[:_MOST_VALUES])
    more = len(rules.allowed) - _MOST_VALUES
    found = f"{shown} and {more} more" if more > 0 else shown
    return f"{found}; text that fits {rules.pattern}" if rules.pattern is not None else found


@dataclass(frozen=True)
class BrokenRule:
    """A rule that a version breaks. rows: how many, and which first."""

    column: str
    rule: str
    expected: str
    found: str
    rows: str
    examples: str


@dataclass(frozen=True)
class ReportPage:
    """How a version kept its contract."""

    contract: int
    status: Status
    broken: tuple[BrokenRule, ...]


def report_page(report: Report) -> ReportPage:
    """Return how a version kept its contract, as its page shows it."""
    return ReportPage(report.contract, _KEPT[report.satisfied], tuple(_broken(each) for each in report.violations))


def _broken(each: Violation) -> BrokenRule:
    more = each.rows - len(each.first_rows)
    first = ", ".join(f"{row:,}" for row in each.first_rows) + (f" and {more:,} more" if more > 0 else "")
    return BrokenRule(
        each.column or "the whole",
        _RULES.get(each.rule, words.sentence(each.rule)),
        each.expected,
        each.found,
        first if each.first_rows else "",
        ", ".join(each.examples),
    )


@dataclass(frozen=True)
class UseLine:
    """What a policy has measured on the data set where a binding puts it in force. version: in words, of the data set."""

    policy: str
    binding: str
    mode: Status
    to_come: bool
    checks: tuple[str, ...]
    version: str


def use_lines(uses: Iterable[DatasetUse]) -> tuple[UseLine, ...]:
    """Return the checks that measure on a data set, together where one binding asks for them."""
    together: dict[tuple[str, str, str, str, str], list[str]] = {}
    for use in uses:
        check = f"{use.check} (reported)" if use.source == "reported" else use.check
        together.setdefault((use.policy, use.binding, use.mode, use.state, use.reference), []).append(check)
    return tuple(
        UseLine(policy, binding, words.mode(mode), state == "to_come", tuple(dict.fromkeys(checks)), _version(reference))
        for (policy, binding, mode, state, reference), checks in together.items()
    )


def _version(reference: str) -> str:
    _, _, number = reference.partition("@v")
    return f"v{number}" if number else "the newest version"


@dataclass(frozen=True)
class RunLine:
    """A check run that measured on the data set."""

    id: UUID
    check: str
    status: Status
    model: str
    version: int
    dataset: int
    finished_at: datetime | None


def run_lines(runs: Iterable[CheckRun]) -> tuple[RunLine, ...]:
    """Return check runs on a data set, read with their version and data set, as the lists show them."""
    return tuple(
        RunLine(
            run.pk,
            words.sentence(run.check_name),
            words.check(run.state),
            run.version.model.name,
            run.version.number,
            run.dataset_version.number,
            run.finished_at,
        )
        for run in runs
        if run.dataset_version is not None
    )
