"""Contracts are read strictly, and a file is held against one in parts as it would be as a whole."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import feather, ipc, parquet

from config.environment import BASE_DIR
from core.documents import DocumentError
from registry import drafts, tables
from registry.conformance import Report, compare, without_values
from registry.contracts import compile_contract
from registry.tables import MISSING, read


def contract(*columns: str, head: str = "") -> Any:
    return compile_contract(f"kind: DataContract\n{head}\ncolumns:\n" + "".join(f"- {{{column}}}\n" for column in columns))


@pytest.mark.parametrize(
    ("document", "line", "words"),
    [
        ("kind: DataContract\ncolumns: []", 2, "at least 1"),
        ("kind: DataContract\ncolumns:\n- {name: a}", 3, "lacks type"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: text}", 3, "one of integer, number, boolean, datetime, string"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: number, minimum: 3}", 3, "did you mean min"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: number}\n- {name: a, type: number}", 4, "a second time"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: number, min: 3, max: 2}", 3, "above max"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: datetime, min: soon}", 3, "expected a number; for a datetime"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: datetime, min: 2024-02-03, max: 2024-01-01}", 3, "above max"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: string, max: 3}", 3, "for columns of type integer, number, datetime"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: number, pattern: x}", 3, "for columns of type string"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: string, pattern: '(?=x)'}", 3, "no regular expression of RE2"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: integer, allowed: [1, 2.5]}", 3, "2.5 is no value of a column"),
        ("kind: DataContract\ncolumns:\n- {name: a, type: boolean, allowed: [1]}", 3, "1 is no value of a column"),
        (
            "kind: DataContract\ncolumns:\n- {name: a, type: number, nullable: false, max_missing: 0.5}",
            3,
            "take one of the two out",
        ),
        ("kind: DataContract\ncolumns:\n- {name: a, type: number, max_missing: 5}", 3, "at most 1"),
        ("kind: Policy\ncolumns:\n- {name: a, type: number}", 1, "must be DataContract"),
    ],
)
def test_a_mistake_in_a_contract_is_told_with_its_place(document: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as raised:
        compile_contract(document)
    (mistake,) = raised.value.mistakes
    assert mistake.line == line and words in mistake.message


def test_a_contract_may_be_json() -> None:
    document = '{"kind": "DataContract", "other_columns": "refused", "columns": [{"name": "a", "type": "integer", "min": 0}]}'
    read = compile_contract(document)
    assert (read.other_columns, read.min_rows, read.columns[0].min) == (False, 1, 0)


def test_the_example_of_the_page_is_a_contract() -> None:
    (document,) = re.findall(r"```yaml\n(.*?)```", (BASE_DIR / "docs" / "datasets.md").read_text(), re.DOTALL)
    assert [column.name for column in compile_contract(document).columns][::6] == ["id", "good"]


CSV = """\
id,age,income,owner,since,grade,extra
1,30,1.5,true,2024-01-01,A,
2,17,-2,false,2024-01-02T10:00:00,B,
2,+40,inf,TRUE,2024-01-01T00:00:00+02:00,C,
4,3.0,,0,2023-12-31,AA,
5,x,1e3,yes,31.12.2023,A,
6,99999999999999999999,abc,,2024-02-30,,
7,NA,1_0,False,None,"A
B",
"""

CONTRACT = (
    "name: id, type: integer, unique: true",
    "name: age, type: integer, nullable: false, min: 18, max: 65",
    "name: income, type: number, max_missing: 0.1, min: 0",
    "name: owner, type: boolean",
    "name: since, type: datetime, min: 2024-01-01",
    "name: grade, type: string, allowed: [A, B, C], pattern: '[A-Z]', nullable: false",
    "name: absent, type: string",
)

# column, rule -> rows, by hand.
BROKEN = {
    ("id", "unique"): [3],
    ("age", "nullable"): [7],
    ("age", "type"): [5, 6],
    ("age", "min"): [2, 4],
    ("income", "type"): [6, 7],
    ("income", "min"): [2],
    ("income", "max_missing"): [4],
    ("owner", "type"): [5],
    ("since", "type"): [5, 6],
    ("since", "min"): [3, 4],
    ("grade", "nullable"): [6],
    ("grade", "allowed"): [4, 7],
    ("grade", "pattern"): [4, 7],
    ("absent", "present"): [],
    ("", "other_columns"): [],
    ("", "min_rows"): [],
}


def broken(report: Report) -> dict[tuple[str, str], list[int]]:
    return {(each.column, each.rule): each.first_rows for each in report.violations}


def test_a_file_is_held_against_each_rule(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    report = compare(path, "csv", contract(*CONTRACT, head="other_columns: refused\nmin_rows: 8"), 3)
    assert broken(report) == BROKEN
    assert (report.contract, report.satisfied, report.row_count) == (3, False, 7)
    told = {(each.column, each.rule): (each.expected, each.found, each.examples) for each in report.violations}
    assert told["age", "min"] == ("at least 18", "2 rows", ["17", "3.0"])
    assert told["id", "unique"] == ("each value once", "1 row", ["2"])
    assert told["income", "max_missing"] == ("at most 0.1 of the rows without a value", "0.1429", [])
    assert told["absent", "present"][1] == "no such column" and told["", "other_columns"][1] == "extra"
    assert told["", "min_rows"][:2] == ("at least 8 rows", "7 rows")
    assert [each.examples for each in without_values(report).violations] == [[]] * len(BROKEN)
    assert broken(without_values(report)) == BROKEN


def test_a_file_that_keeps_its_contract_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    kept = ("name: id, type: number", "name: grade, type: string, max_missing: 0.2")
    assert compare(path, "csv", contract(*kept, head="min_rows: 7"), 1) == Report(1, True, 7, [])


def write(table: pyarrow.Table, path: Path, form: str) -> None:
    if form == "csv":
        table.to_pandas().to_csv(path, index=False)
    elif form == "parquet":
        parquet.write_table(table, path)
    else:
        with ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=3)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_each_format_breaks_the_same_rules(tmp_path: Path, form: str) -> None:
    table = pyarrow.table(
        {
            "whole": pyarrow.array([1.0, 2.0, None, 2.5, 3.0]),
            "small": pyarrow.array([1, 2, 3, 4, 4], pyarrow.int8()),
            "code": pyarrow.array(["a", "b", "a", None, "zz"]).dictionary_encode(),
            "live": pyarrow.array([True, None, False, True, True]),
            "at": pd.to_datetime(["2024-01-01", "2024-01-02", None, "2024-01-04", "2025-01-01"], utc=True),
        }
    )
    write(table, tmp_path / "rows", form)
    report = compare(
        tmp_path / "rows",
        form,
        contract(
            "name: whole, type: integer, max: 2",
            "name: small, type: integer, unique: true, allowed: [1, 2, 4]",
            "name: code, type: string, pattern: '[a-z]', nullable: false",
            "name: live, type: boolean, nullable: false, allowed: [true]",
            "name: at, type: datetime, max: 2024-12-31, allowed: [2024-01-01, 2024-01-02, '2024-01-04T01:00:00+01:00']",
        ),
        1,
    )
    assert broken(report) == {
        ("whole", "type"): [4],
        ("whole", "max"): [5],
        ("small", "allowed"): [3],
        ("small", "unique"): [5],
        ("code", "nullable"): [4],
        ("code", "pattern"): [5],
        ("live", "nullable"): [2],
        ("live", "allowed"): [3],
        ("at", "max"): [5],
        ("at", "allowed"): [5],
    }


def test_a_column_of_another_type_is_told_once(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"a": ["1", "2"], "b": [[1], [2]], "c": pyarrow.nulls(2)}), tmp_path / "rows")
    rules = contract("name: a, type: integer, min: 5", "name: b, type: string", "name: c, type: datetime, min: 2024-01-01")
    report = compare(tmp_path / "rows", "parquet", rules, 1)
    assert [(each.column, each.rule, each.found, each.rows) for each in report.violations] == [
        ("a", "type", "string", 2),
        ("b", "type", "list<element: int64>", 2),
    ]


def test_a_report_tells_the_first_twenty_rows_and_counts_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 7)  # of 100 rows
    table = pyarrow.table({"a": [each % 2 for each in range(100)], "b": range(100), "c": [each % 60 for each in range(100)]})
    feather.write_feather(table, str(tmp_path / "rows"))
    rules = contract("name: a, type: integer, max: 0", "name: b, type: integer, min: 90", "name: c, type: integer, unique: true")
    odd, low, twice = compare(tmp_path / "rows", "arrow", rules, 1).violations
    assert (odd.rows, odd.first_rows, odd.examples) == (50, list(range(2, 41, 2)), ["1"])
    assert (low.rows, low.first_rows, low.examples) == (90, list(range(1, 21)), ["0", "1", "2", "3", "4"])
    assert (twice.rows, twice.first_rows) == (40, list(range(61, 81)))


def test_missing_values_of_a_csv_are_those_of_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    texts = [*MISSING, " ", "none", "Null", "NONE", "-", "?", "-NA"]
    path.write_text("a,b\n" + "".join(f"{text},1\n" for text in texts))
    missing = pd.read_csv(path, dtype=str)["a"].isna()
    report = compare(path, "csv", contract("name: a, type: integer, nullable: false"), 1)
    (nullable, _) = report.violations
    assert nullable.rows == int(missing.sum()) == len(MISSING)
    assert nullable.first_rows == [position + 1 for position in range(len(texts)) if missing[position]]


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_a_draft_is_kept_by_the_file_it_was_made_of(tmp_path: Path, form: str) -> None:
    frame = pd.read_csv(io.StringIO(CSV.replace("x,1e3", "5,1e3")))
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    write(table, tmp_path / "rows", form)
    shape = read(tmp_path / "rows", form)
    document = drafts.draft(tmp_path / "rows", form, shape.columns, with_values=True)
    drafted = compile_contract(document)
    assert compare(tmp_path / "rows", form, drafted, 1).violations == []
    rules = {column.name: column for column in drafted.columns}
    assert (rules["id"].min, rules["id"].max, rules["id"].nullable) == (1, 7, False)
    assert rules["grade"].max_missing == 0.15 and "AA" in (rules["grade"].allowed or ())
    bare = drafts.draft(tmp_path / "rows", form, shape.columns, with_values=False)
    assert not {"min", "max", "allowed"} & {key for column in compile_contract(bare).columns for key in _said(column)}
    assert "AA" not in bare and "type: integer" in bare


def _said(column: Any) -> set[str]:
    return {key for key in ("min", "max", "allowed") if getattr(column, key) is not None}


_MEASURED = """
import re, sys
from pathlib import Path
from registry.conformance import compare
from registry.contracts import compile_contract
from registry.tables import read

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

rules = compile_contract(
    "{kind: DataContract, columns: [{name: id, type: integer, unique: true}, {name: x1, type: number, min: 0, max: 998}]}"
)
def through(size):
    for form in ("parquet", "arrow"):
        file = Path(sys.argv[1]) / f"{size}.{form}"
        assert compare(file, form, rules, 1).satisfied
        rows = read(file, form).row_count
    return rows

through("small")
before = peak()
print(through("large"), peak() - before)
"""


def test_registration_reads_a_large_file_in_little_memory(tmp_path: Path) -> None:
    """As a whole it takes some 120 MB, and its numbers as a set of Python's another 22; what allocators keep differs by some 40."""
    rows = 300_000
    numbers = np.arange(rows) % 999 / 1
    table = pyarrow.table({"id": np.arange(rows), **{f"x{each}": numbers for each in range(1, 51)}})
    for name, content in (("small", table.slice(0, 70_000)), ("large", table)):
        parquet.write_table(content, tmp_path / f"{name}.parquet")
        feather.write_feather(content, str(tmp_path / f"{name}.arrow"), compression="zstd")
    command = [sys.executable, "-c", _MEASURED, str(tmp_path)]
    seen, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(seen) == rows and int(megabytes) < 80


def test_an_arrow_file_that_points_outside_of_itself_is_refused(tmp_path: Path) -> None:
    from core.errors import Invalid

    table = pyarrow.table({"a": ["xx", "yy", "zz"]})
    path = tmp_path / "rows"
    with ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    offsets = b"".join(each.to_bytes(4, "little") for each in (0, 2, 4, 6))
    content = path.read_bytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, offsets[:8] + (2**30).to_bytes(4, "little") + offsets[12:]))
    with pytest.raises(Invalid, match="cannot be read as arrow"):
        read(path, "arrow")
