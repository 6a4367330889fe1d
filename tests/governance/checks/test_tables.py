"""Batches of a file are together exactly the file, and take little memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, feather, ipc, parquet

from governance.checks import tables
from governance.checks.base import MissingColumn, UnreadableInput, UnsuitableData
from governance.checks.tables import batches, column_names, count_rows, read_table

# What decides the type of a column is never in the first rows alone.
COLUMNS = {
    "whole": ["1", "2", "-3", "4", "5", "6", "7"],
    "float_at_last": ["1", "2", "3", "4", "5", "6", "7.5"],
    "text_at_last": ["1", "2.5", "", "True", "5", "6", "n/k"],
    "missing_at_last": ["1", "2", "3", "4", "5", "6", ""],
    "all_missing": ["", "NA", "null", "", "nan", "None", "#N/A"],
    "boolean": ["True", "false", "TRUE", "False", "true", "FALSE", "True"],
    "boolean_missing": ["True", "True", "False", "True", "", "", "True"],
    "boolean_then_number": ["True", "True", "False", "True", "False", "True", "1"],
    "unsigned_at_last": ["1", "2", "3", "4", "5", "6", "18446744073709551615"],
    "unsigned_and_negative": ["1", "-2", "3", "4", "5", "6", "18446744073709551615"],
    "unsigned_and_missing": ["1", "", "3", "4", "5", "6", "18446744073709551615"],
    "unsigned_then_float": ["18446744073709551615", "", "3", "4", "5", "6", "0.5"],
    "beyond_integers": ["1", "", "-3", "4", "5", "6", "99999999999999999999999"],
    "beyond_then_text": ["99999999999999999999999", "", "3", "4", "5", "6", "a"],
    "float_then_beyond": ["0.25", "", "3", "4", "5", "6", "99999999999999999999999"],
    "codes": ["001", "002", "003", "004", "", "006", "00B"],
    "dates": ["2024-01-01", "", "2024-01-03", "1", "2", "3", "4"],
    "infinite": ["1", "2", "3", "inf", "-Infinity", "6", "7"],
    "precise": ["9007199254740993", "9007199254740992", "3", "4", "5", "6", "0.1"],
    "quoted": ['"a\nb"', '"c,d"', '""""', "e", "f", "", "g"],
}


def written(tmp_path: Path, columns: dict[str, list[str]], name: str = "rows.csv") -> Path:
    path = tmp_path / name
    text = "\n".join([",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle types over parts of two rows, as a large file is over parts of many."""
    monkeypatch.setattr(tables, "_SETTLE_CELLS", 2)
    monkeypatch.setattr(tables, "_SETTLE_ROWS", 2)
    monkeypatch.setattr(tables, "_settle_rows", lambda path: 2)


def same(path: Path, columns: list[str] | None, rows: int, whole: pd.DataFrame) -> None:
    parts = list(batches(path, columns, rows))
    assert [len(part) for part in parts[:-1]] == [rows] * (len(parts) - 1) and 0 < len(parts[-1]) <= rows
    for part in parts:
        assert list(part.dtypes) == list(whole.dtypes)
    joined = pd.concat(parts)
    pd.testing.assert_frame_equal(joined, whole, check_exact=True, check_index_type="equiv")
    for column in whole.columns:
        assert [type(each) for each in joined[column]] == [type(each) for each in whole[column]], column
    for number in range(1, len(parts)):
        for later, expected in zip(batches(path, columns, rows, start=number * rows), parts[number:], strict=True):
            pd.testing.assert_frame_equal(later, expected, check_exact=True)
        if rows == 1 and number == 3:
            break


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_batches_of_text_are_what_pandas_reads_as_a_whole(tmp_path: Path, name: str, rows: int) -> None:
    path = written(tmp_path, COLUMNS, name)
    whole = pd.read_csv(path)
    pd.testing.assert_frame_equal(read_table(path), whole, check_exact=True)
    same(path, None, rows, whole)
    chosen = ["text_at_last", "beyond_then_text", "whole"]
    same(path, chosen, rows, whole[chosen])
    pd.testing.assert_frame_equal(read_table(path, chosen), whole[chosen], check_exact=True)
    assert count_rows(path) == 7 and column_names(path) == list(COLUMNS)


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_columns_declared_as_texts_stay_as_they_are_written(tmp_path: Path, rows: int) -> None:
    path = written(tmp_path, {"code": ["01", "1", "", "007"], "whole": ["01", "1", "2", "007"]})
    whole = read_table(path, texts={"code", "absent"})
    assert whole["code"].tolist()[:2] == ["01", "1"] and whole["code"].isna().tolist() == [False, False, True, False]
    assert whole["whole"].tolist() == [1, 1, 2, 7]
    for columns in (None, ["whole", "code"], ["whole"]):
        joined = pd.concat(batches(path, columns, rows, texts={"code", "absent"}))
        pd.testing.assert_frame_equal(joined, whole[columns or list(whole)], check_exact=True, check_index_type="equiv")


TOKENS = [
    *["", "NA", "1", "-1", "+7", " 8 ", "007", "18446744073709551615", "9223372036854775808", "-9223372036854775809"],
    *[
        "99999999999999999999999",
        "-99999999999999999999999",
        "1.5",
        "2.0",
        "1e400",
        "inf",
        "1e",
        "1_0",
        "True",
        "false",
        "a",
        "٣",
    ],
]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(column=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=7), rows=st.integers(1, 4))
def test_whatever_a_column_holds_its_batches_are_the_whole(tmp_path: Path, column: list[str], rows: int) -> None:
    tables._settled.cache_clear()
    path = written(tmp_path, {"x": column, "beside": ["0"] * len(column)})
    same(path, None, rows, pd.read_csv(path))


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "small": np.array([1, 2, 3, 4, 5, 6, 7], dtype="int8"),
            "nullable": pd.array([1, 2, 3, 4, 5, 6, None], dtype="Int64"),
            "logic": pd.array([True, False, True, True, True, True, None], dtype="boolean"),
            "real": np.array([0.5, np.nan, 1, 2, 3, 4, 5], dtype="float32"),
            "text": ["a", "b", None, "d", "e", "f", "g"],
            "kind": pd.Categorical(["x", "y", "x", None, "z", "z", "x"], categories=["z", "y", "x", "unused"], ordered=True),
            "at": pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07"]),
            "zoned": pd.date_range("2024-01-01", periods=7, tz="Europe/Zurich"),
        },
        index=pd.Index(list("tuvwxyz"), name="who"),
    )


def plain() -> pyarrow.Table:
    """What Arrow holds and pandas has no type of its own for: nulls in integers, dictionaries that differ, decimals, days."""
    coded = [pyarrow.array(part).dictionary_encode() for part in (["b", "a", "b"], ["c", None, "a", "d"])]
    return pyarrow.table(
        {
            "whole": pyarrow.array([1, 2, 3, 4, 5, 6, None], pyarrow.int16()),
            "full": pyarrow.array([1, 2, 3, 4, 5, 6, 7], pyarrow.uint8()),
            "logic": pyarrow.array([True, False, True, True, True, True, None]),
            "coded": pyarrow.chunked_array(coded),
            "money": pyarrow.array([1, 2, 3, 4, 5, 6, None]).cast(pyarrow.decimal128(22, 2)),
            "day": pyarrow.array([0, 1, 2, 3, 4, 5, None], pyarrow.date32()),
            "nothing": pyarrow.nulls(7),
            "text": pyarrow.array(["a", None, "c", "d", "e", "f", "g"], pyarrow.large_string()),
        }
    )


def as_ipc(table: pyarrow.Table, path: Path, opened: Callable[..., Any]) -> None:
    # Dictionaries that differ from batch to batch fit a stream; a file has one, which may grow.
    options = ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    unified = table.unify_dictionaries() if opened is ipc.new_file else table
    with pyarrow.OSFile(str(path), "wb") as sink, opened(sink, table.schema, options=options) as writer:
        writer.write_table(unified, max_chunksize=3)


WRITERS: dict[str, Callable[[pyarrow.Table, Path], None]] = {
    "rows.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=3),
    "bare.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=3, write_statistics=False),
    "file.arrow": lambda table, path: as_ipc(table, path, ipc.new_file),
    "stream.arrow": lambda table, path: as_ipc(table, path, ipc.new_stream),
    "rows.feather": lambda table, path: feather.write_feather(table, path, chunksize=3, compression="zstd"),
}


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("table", [plain(), pyarrow.Table.from_pandas(frame())], ids=["arrow", "pandas"])
def test_batches_of_columnar_files_are_what_pandas_reads_as_a_whole(
    tmp_path: Path, table: pyarrow.Table, name: str, rows: int
) -> None:
    path = tmp_path / name
    WRITERS[name](table, path)
    if name == "stream.arrow":
        whole = table.to_pandas()
    else:
        whole = pd.read_parquet(path) if name.endswith(".parquet") else pd.read_feather(path)
    whole = whole.reset_index(drop=True)
    pd.testing.assert_frame_equal(read_table(path), whole, check_exact=True)
    same(path, None, rows, whole)
    chosen = list(whole.columns[[4, 0]])
    same(path, chosen, rows, whole[chosen])
    assert count_rows(path) == 7 and column_names(path) == list(whole.columns)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("rows.csv", b"", "No columns"),
        ("rows.csv", b"a,b\n1,2\n1,2,3\n", "Expected 2 fields"),
        ("rows.csv", b"a,b\n1,2,3\n4,5,6\n", "Expected 2 fields in line 2, saw 3"),
        ("rows.csv", b"a\n\xff\n", "utf-8"),
        ("rows.csv.gz", gzip.compress(b"a\n" + b"1\n" * 9999, mtime=0)[:-20], "end-of-stream"),
        ("rows.csv.gz", b"a\n1\n", "gzip"),
        ("rows.parquet", b"a\n1\n", "[Pp]arquet"),
        ("rows.arrow", b"a\n1\n", "Expected|Invalid|Tried"),
        ("rows.arrow", b"ARROW1\0\0 and no more than that", "Not an Arrow file|small|Invalid"),
        ("rows.xlsx", b"", "use CSV, CSV.gz, Parquet or Arrow"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_fault(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableInput, match=f"The data set loans cannot be read: .*{word}"):
        read_table(path, name="loans")
    with pytest.raises(UnreadableInput, match=word):
        list(batches(path, None, 2))
    with pytest.raises(UnreadableInput, match=f"{name}"):
        read_table(tmp_path / f"absent-{name}")


def test_a_file_without_rows_and_an_absent_column_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    for read in (read_table, lambda path: list(batches(path, None, 2))):
        with pytest.raises(UnsuitableData, match=r"rows.csv has no rows"):
            read(path)
    assert count_rows(path) == 0
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "rows.parquet")
    for file in (path, tmp_path / "rows.parquet"):
        with pytest.raises(MissingColumn, match="'c'"):
            read_table(file, ["a", "c"])
        with pytest.raises(MissingColumn, match="'c'"):
            list(batches(file, ["c"], 2))


_MEASURED = """
import re, sys
from pathlib import Path
import pandas, pyarrow.parquet, pyarrow.feather
from governance.checks.tables import batches

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

for _ in batches(Path(sys.argv[1] + ".small"  + sys.argv[2]), None, 5_000):
    pass
before, rows = peak(), 0
for frame in batches(Path(sys.argv[1] + sys.argv[2]), None, 5_000):
    rows += len(frame)
print(rows, peak() - before)
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_reading_in_batches_takes_the_memory_of_batches(tmp_path: Path, suffix: str) -> None:
    """As a whole these files take 70 to 110 MB; the columnar ones are one row group, and compressed record batches of the usual size."""
    rows = 60_000 if suffix == ".csv" else 400_000
    numbers = np.random.default_rng(0).integers(0, 999, rows).astype(float)
    table = pyarrow.table({f"x{index}": numbers + index for index in range(60 if suffix == ".csv" else 12)})
    for name, content in (("rows.small", table.slice(0, 5_000)), ("rows", table)):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".csv":
            csv.write_csv(content, path)
        elif suffix == ".parquet":
            parquet.write_table(content, path, row_group_size=rows)
        else:
            feather.write_feather(content, path)
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / "rows"), suffix]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen, megabytes = map(int, done.stdout.split())
    assert seen == rows and megabytes < 50
