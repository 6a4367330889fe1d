"""Does a file keep a data contract? Read once, in batches of bounded size, with what breaks it told by column and rule."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from registry import values
from registry.contracts import ColumnRules, Contract, whole
from registry.tables import Batches, kind_of, opened

MOST_ROWS = 20
_MOST_EXAMPLES = 5
_LONGEST_EXAMPLE = 100


@dataclass(frozen=True)
class Violation:
    """One rule that a file breaks.

    column: empty for a rule on the whole. rule: the contract's word for it, such as ``min``, or ``present``. found: never a value of the
    data, but a type, a share or a number of rows. rows: how many break it; first_rows: the first of them, at most 20, counted from 1
    without a header. examples: some of the values, none where the data set is closed.
    """

    column: str
    rule: str
    expected: str
    found: str
    rows: int
    first_rows: list[int]
    examples: list[str]


@dataclass(frozen=True)
class Report:
    """What a comparison of a file with a contract gave. contract: number of its revision."""

    contract: int
    satisfied: bool
    row_count: int
    violations: list[Violation]


def compare(path: Path, form: str, contract: Contract, number: int) -> Report:
    """Return how a file keeps a contract, whose revision has this number. Raises Invalid for a file that cannot be read."""
    with opened(path, form) as table, closing(_Values()) as seen:
        kinds = {each.name: each.type for each in table.fields}
        columns = [_Column(rules, kinds.get(rules.name), table.as_text, seen) for rules in contract.columns]
        positions = {each.name: position for position, each in enumerate(table.fields)}
        rows = 0
        for batch in _batches(table):
            for column in columns:
                if column.readable:
                    column.see(values.plain(batch.column(positions[column.rules.name])), rows)
            rows += batch.num_rows
        violations = [violation for column in columns for violation in column.violations(rows)]
    violations += _of_the_whole(contract, kinds, rows)
    return Report(number, not violations, rows, violations)


def without_values(report: Report) -> Report:
    """Return a report that gives away no value of the data."""
    cleared = [Violation(v.column, v.rule, v.expected, v.found, v.rows, v.first_rows, []) for v in report.violations]
    return Report(report.contract, report.satisfied, report.row_count, cleared)


def _batches(table: Batches) -> Iterator[Any]:
    return (batch for batch in table.batches if batch.num_rows)


def _of_the_whole(contract: Contract, kinds: dict[str, Any], rows: int) -> Iterator[Violation]:
    known = {column.name for column in contract.columns}
    others = [name for name in kinds if name not in known]
    if others and not contract.other_columns:
        shown = ", ".join(others[:MOST_ROWS]) + (" and more" if len(others) > MOST_ROWS else "")
        yield Violation("", "other_columns", "no other columns than those of the contract", shown, 0, [], [])
    if rows < contract.min_rows:
        yield Violation("", "min_rows", f"at least {contract.min_rows} rows", f"{rows} rows", rows, [], [])


@dataclass
class _Tally:
    """How often a rule was broken, and where first."""

    rows: int = 0
    first_rows: list[int] = field(default_factory=list)
    examples: dict[str, None] = field(default_factory=dict)

    def count(self, broken: Any, column: Any, start: int) -> None:
        """Count the rows where `broken` is true, a bool per row of this part, whose first row has `start` before it."""
        from pyarrow import compute

        number = compute.sum(broken).as_py() or 0
        if not number:
            return
        self.rows += number
        if len(self.first_rows) < MOST_ROWS:
            places = compute.indices_nonzero(broken).slice(0, MOST_ROWS - len(self.first_rows))
            self.first_rows += [start + place + 1 for place in places.to_pylist()]
            for value in column.take(places).to_pylist():
                if len(self.examples) < _MOST_EXAMPLES and value is not None:
                    self.examples.setdefault(str(value)[:_LONGEST_EXAMPLE])


class _Column:
    """One column of a contract beside the file's."""

    def __init__(self, rules: ColumnRules, kind: Any, as_text: bool, seen: _Values) -> None:
        from pyarrow import types

        self.rules, self._kind, self._seen = rules, kind, seen
        inner = kind.value_type if kind is not None and types.is_dictionary(kind) else kind
        self.readable = kind is not None and (as_text or values.fits(inner, rules.type))
        self._tallies: dict[str, _Tally] = {}

    def see(self, column: Any, start: int) -> None:
        """Take in the next part, with `start` rows before it."""
        from pyarrow import compute

        missing = compute.is_null(column)
        self._tally("missing").count(missing, column, start)
        typed = values.typed(column, self.rules.type)
        self._tally("type").count(compute.and_not(compute.is_null(typed), missing), column, start)
        for rule, broken in self._broken(typed):
            self._tally(rule).count(compute.fill_null(broken, False), column, start)
        if self.rules.unique:
            self._seen.add(self.rules.name, typed, start)

    def _broken(self, typed: Any) -> Iterator[tuple[str, Any]]:
        import pyarrow
        from pyarrow import compute

        rules = self.rules
        ordered = typed.cast(pyarrow.float64(), safe=False) if rules.type == "integer" else typed
        if rules.min is not None:
            yield "min", compute.less(ordered, pyarrow.scalar(rules.min, ordered.type))
        if rules.max is not None:
            yield "max", compute.greater(ordered, pyarrow.scalar(rules.max, ordered.type))
        if rules.allowed is not None:
            known = pyarrow.array([int(each) if rules.type == "integer" else each for each in rules.allowed], typed.type)
            yield "allowed", compute.and_not(compute.is_valid(typed), compute.is_in(typed, value_set=known))
        if rules.pattern is not None:
            yield "pattern", compute.invert(compute.match_substring_regex(typed, whole(rules.pattern)))

    def violations(self, rows: int) -> Iterator[Violation]:
        """Yield the rules that the column breaks, of a file with so many rows."""
        rules = self.rules
        if self._kind is None:
            yield Violation(rules.name, "present", "a column of this name", "no such column", 0, [], [])
            return
        if not self.readable:
            yield Violation(rules.name, "type", rules.type, kind_of(self._kind), rows, [], [])
            return
        missing = self._tally("missing")
        if not rules.nullable and missing.rows:
            yield self._violation("nullable", "no missing values", missing)
        share = missing.rows / rows if rows else 0.0
        if rules.max_missing is not None and share > rules.max_missing:
            yield self._violation(
                "max_missing", f"at most {rules.max_missing:g} of the rows without a value", missing, f"{share:.4g}"
            )
        if rules.unique:
            self._tallies["unique"] = self._seen.repeated(rules.name)
        for rule, expected in self._expectations():
            if self._tally(rule).rows:
                yield self._violation(rule, expected, self._tally(rule))

    def _expectations(self) -> Iterator[tuple[str, str]]:
        rules = self.rules
        yield "type", rules.type
        for rule, word, bound in (("min", "least", rules.min), ("max", "most", rules.max)):
            if bound is not None:
                yield rule, f"at {word} {bound.isoformat() if isinstance(bound, datetime) else f'{bound:g}'}"
        if rules.allowed is not None:
            shown = [each.isoformat() if isinstance(each, datetime) else str(each) for each in islice(rules.allowed, MOST_ROWS)]
            yield "allowed", f"one of {', '.join(shown)}{' and more' if len(rules.allowed) > MOST_ROWS else ''}"
        yield "pattern", f"text that fits {rules.pattern}"
        yield "unique", "each value once"

    def _violation(self, rule: str, expected: str, tally: _Tally, found: str = "") -> Violation:
        said = found or f"{tally.rows} {'row' if tally.rows == 1 else 'rows'}"
        return Violation(self.rules.name, rule, expected, said, tally.rows, tally.first_rows, list(tally.examples))

    def _tally(self, rule: str) -> _Tally:
        return self._tallies.setdefault(rule, _Tally())


class _Values:
    """The values of columns that should be unique, in a database of its own on disk: memory holds no set of millions."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}  # of the columns: a name in each row would take more room than most values

    def close(self) -> None:
        """Remove it."""
        if self._database is not None:
            self._database.close()

    def add(self, column: str, typed: Any, start: int) -> None:
        """Keep a part of a column, with `start` rows before it."""
        import pyarrow
        from pyarrow import types

        if types.is_timestamp(typed.type):
            typed = typed.cast(pyarrow.int64())
        number = self._numbers.setdefault(column, len(self._numbers))
        rows = ((number, value, row) for row, value in enumerate(typed.to_pylist(), start + 1) if value is not None)
        self._opened().executemany("INSERT INTO seen VALUES (?, ?, ?)", rows)

    def repeated(self, column: str) -> _Tally:
        """Return the rows whose value stands in an earlier one."""
        place = self._numbers.get(column)
        later = (
            "SELECT line, value FROM (SELECT line, value, ROW_NUMBER() OVER (PARTITION BY value ORDER BY line) AS nth"
            " FROM seen WHERE number = ?) WHERE nth > 1"
        )
        (number,) = self._opened().execute(f"SELECT COUNT(*) FROM ({later})", [place]).fetchone()
        first = self._opened().execute(f"{later} ORDER BY line LIMIT {MOST_ROWS}", [place]).fetchall() if number else []
        examples = dict.fromkeys(str(value)[:_LONGEST_EXAMPLE] for _, value in first)
        return _Tally(number, [line for line, _ in first], dict.fromkeys(islice(examples, _MOST_EXAMPLES)))

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)  # no name: a file that is gone when it is closed
            self._database.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; PRAGMA cache_size=-32768;"
                "CREATE TABLE seen (number INTEGER, value, line INTEGER); BEGIN;"
            )
        return self._database
