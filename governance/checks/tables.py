"""Files that hold a table, read whole or in batches that together are exactly the whole.

CSV, gzipped CSV, Parquet and Arrow IPC (file and stream, Feather V2). What a column is depends on all of its rows: one text in the last
row makes a column of numbers a column of texts, one missing value makes whole numbers floats. So a first pass settles it, and each batch
is then read as that, whatever the batch alone would look like.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.checks.base import MissingColumn, UnreadableInput, UnsuitableData
from governance.checks.witnesses import Kind, Witnesses

if TYPE_CHECKING:
    import pandas as pd

CSV = (".csv", ".csv.gz")
PARQUET = (".parquet",)
ARROW = (".arrow", ".arrows", ".feather")

_FILE_MAGIC = b"ARROW1"
_BUFFER_BYTES = 1024 * 1024
_SETTLE_BYTES = 16 * 1024 * 1024
_SETTLE_CELLS = 1024 * 1024
_SETTLE_ROWS = 65_536


def read_table(path: Path, columns: Sequence[str] | None = None, *, name: str = "", texts: Collection[str] = ()) -> pd.DataFrame:
    """Return the table, at least one row, with the columns asked for in that order and the rows numbered from 0.

    CSV is what ``pandas.read_csv`` gives with ``low_memory=False``: a type is that of a whole column, not of blocks of it. The others are
    what ``read_parquet`` and ``read_feather`` give; an index that pandas stored beside the columns is left out.
    name: how error messages call the data set, else its file. texts: columns of a CSV whose values stay as they are written, for codes
    such as 01; the other formats say themselves what a column is. Raises UnreadableInput, UnsuitableData for no rows, MissingColumn.
    """
    called = name or path.name
    with _reading(called):
        frame = _source(path, columns, called, texts).whole()
    if not len(frame):
        raise UnsuitableData(f"The data set {called} has no rows.")
    return frame


def batches(
    path: Path, columns: Sequence[str] | None, rows: int, *, name: str = "", texts: Collection[str] = (), start: int = 0
) -> Iterator[pd.DataFrame]:
    """Yield so many rows at a time, the last time what is left; concatenated, they equal ``read_table`` to the last type and value.

    start: how many rows to leave out, a multiple of `rows`; the batches are those that would come after these.

    Memory is that of one batch, and of one row group's or record batch's column where a file has very large ones. Rows are numbered on
    from batch to batch. Raises the same as ``read_table``.
    """
    called = name or path.name
    reached = start
    with _reading(called):
        for frame in _source(path, columns, called, texts).batches(rows, start):
            frame.index = _numbers(reached, len(frame))
            reached += len(frame)
            yield frame
    if reached == start:
        raise UnsuitableData(f"The data set {called} has no rows.")


def count_rows(path: Path, *, name: str = "") -> int:
    """Return the number of rows, which may be 0. Raises UnreadableInput."""
    called = name or path.name
    with _reading(called):
        return _source(path, None, called).row_count()


def column_names(path: Path, *, name: str = "") -> list[str]:
    """Return the names of the columns in file order. Raises UnreadableInput."""
    called = name or path.name
    with _reading(called):
        return _source(path, None, called).names()


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    # A truncated gzip file ends with EOFError, a damaged one with zlib's own; Arrow has kinds of NotImplementedError and KeyError.
    except (OSError, ValueError, EOFError, zlib.error, NotImplementedError, KeyError) as cause:
        raise UnreadableInput(f"The data set {name}", str(cause)) from cause


def _source(path: Path, columns: Sequence[str] | None, name: str, texts: Collection[str] = ()) -> _Csv | _Parquet | _Arrow:
    wanted = None if columns is None else tuple(columns)
    if path.name.endswith(CSV):
        return _Csv(path, wanted, name, texts)
    if path.name.endswith(PARQUET):
        return _Parquet(path, wanted, name)
    if path.name.endswith(ARROW):
        return _Arrow(path, wanted, name)
    raise UnreadableInput(f"The data set {name}", "use CSV, CSV.gz, Parquet or Arrow")


def _check_columns(wanted: Sequence[str] | None, names: Sequence[str], name: str) -> None:
    for column in wanted or ():
        if column not in names:
            raise MissingColumn(column, name, "this measure")


def _numbers(start: int, length: int) -> Any:
    import pandas as pd

    return pd.RangeIndex(start, start + length)


class _Csv:
    """A table as text: two passes of pandas' parser, the first to settle what each column is."""

    def __init__(self, path: Path, wanted: tuple[str, ...] | None, name: str, texts: Collection[str]) -> None:
        import pandas as pd

        self._path, self._wanted, self._texts = path, wanted, frozenset(texts)
        # Where the rows are longer than the header, pandas takes their first column as an index, which shifts the names of all others. Read
        # as if it were a row itself, a header that is too short is an error.
        pd.read_csv(path, header=None, nrows=2, dtype=str)
        self._names = [str(each) for each in pd.read_csv(path, nrows=0).columns]
        _check_columns(wanted, self._names, name)

    def names(self) -> list[str]:
        return self._names

    def whole(self) -> pd.DataFrame:
        import pandas as pd

        declared = dict.fromkeys(self._texts, str)
        return self._ordered(pd.read_csv(self._path, usecols=self._wanted, low_memory=False, dtype=declared))

    def batches(self, rows: int, start: int) -> Iterator[pd.DataFrame]:
        settled = _settled(self._path, *_state(self._path))
        kinds = {
            column: Kind.TEXT if column in self._texts else settled[column]
            for column in (self._names if self._wanted is None else self._wanted)
        }
        texts = [column for column, kind in kinds.items() if kind in (Kind.TEXT, Kind.LARGE_INTEGER)]
        literal = [column for column, kind in kinds.items() if kind is Kind.LITERAL_TEXT]
        forced = {column: kind.value for column, kind in kinds.items() if kind in (Kind.FLOAT, Kind.UNSIGNED)}
        beside: Iterator[pd.DataFrame | None] = repeat(None)
        if literal:
            beside = _chunks(self._path, rows, usecols=literal, dtype=str, na_filter=False)
        main = _chunks(self._path, rows, usecols=self._wanted, dtype=forced | dict.fromkeys(texts, str))
        # Only the parser knows where a row ends, so what comes before is parsed too.
        for frame, as_written in islice(zip(main, beside, strict=False), start // rows, None):
            for column, kind in kinds.items():
                if kind is Kind.LITERAL_TEXT and as_written is not None:
                    frame[column] = as_written[column]
                elif kind is Kind.LARGE_INTEGER:
                    frame[column] = _large_integers(frame[column])
                elif kind is Kind.MISSING_BOOLEAN:
                    frame[column] = frame[column].astype(object)
            yield self._ordered(frame)

    def row_count(self) -> int:
        return sum(map(len, _chunks(self._path, _settle_rows(self._path), usecols=[0], dtype=str)))

    def _ordered(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame if self._wanted is None else frame[list(self._wanted)]


def _chunks(path: Path, rows: int, **options: Any) -> Iterator[pd.DataFrame]:
    """Yield so many rows at a time, each column's type settled by the whole chunk and not by blocks of it."""
    import pandas as pd

    with pd.read_csv(path, chunksize=rows, low_memory=False, **options) as reader:
        yield from reader


def _large_integers(texts: pd.Series) -> pd.Series:
    import pandas as pd

    # A list, since what maps a column looks for a smaller type of its own.
    return pd.Series([int(each) if isinstance(each, str) else each for each in texts], index=texts.index, dtype=object)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=16)
def _settled(path: Path, size: int, modified_ns: int) -> dict[str, Kind]:
    """Return what each column is by all of its rows; kept, and of all columns, since a check that reads others would settle them again."""
    seen: dict[str, Witnesses] = {}
    rows = _settle_rows(path)
    for frame in _chunks(path, rows):
        for column in frame.columns:
            seen.setdefault(column, Witnesses()).see(frame[column])
    kinds: dict[str, Kind] = {}
    for column, witnesses in seen.items():
        kind = witnesses.kind()
        if kind is None:  # floats of which nothing says how they were written, beside numbers that are too large for integers
            exact = Witnesses()
            for frame in _chunks(path, rows, usecols=[column], dtype=str):
                exact.see_texts(frame[column])
            kind = exact.kind()
        assert kind is not None
        kinds[column] = kind
    return kinds


def _settle_rows(path: Path) -> int:
    """Return how many rows of this file fit into the memory that settling may take, by the length of the first ones."""
    import pandas as pd
    from pandas.io.common import get_handle

    with get_handle(path, "rb", compression="infer", is_text=False) as opened:
        head: bytes = opened.handle.read(_BUFFER_BYTES)
    width = max(1, len(pd.read_csv(path, nrows=0).columns))
    row_bytes = max(1, len(head) // max(1, head.count(b"\n")))
    return max(1, min(_SETTLE_BYTES // row_bytes, _SETTLE_CELLS // width))


class _Columnar:
    """A table in Arrow's memory layout, wherever it lies."""

    def __init__(self, path: Path, wanted: tuple[str, ...] | None, name: str) -> None:
        self._path, self._wanted = path, wanted
        self._stored: Any = self._read_schema()
        self._hidden = _index_columns(self._stored)
        _check_columns(wanted, self.names(), name)

    def names(self) -> list[str]:
        return [name for name in self._stored.names if name not in self._hidden]

    def whole(self) -> pd.DataFrame:
        import pyarrow

        chosen = self._chosen()
        return _to_frame(pyarrow.Table.from_batches(list(self._record_batches(chosen, None)), self._schema(chosen)), self._stored)

    def batches(self, rows: int, start: int) -> Iterator[pd.DataFrame]:
        chosen = self._chosen()
        missing, values = self._survey(chosen)
        for table in _regrouped(self._record_batches(chosen, rows, start), self._schema(chosen), rows):
            frame = _to_frame(_with_dictionaries(table, values), self._stored)
            for position, column in enumerate(chosen):
                if column in missing:
                    _widen(frame, position)
            yield frame

    def _chosen(self) -> list[str]:
        return self.names() if self._wanted is None else list(self._wanted)

    def _schema(self, chosen: list[str]) -> Any:
        import pyarrow

        return pyarrow.schema([self._stored.field(name) for name in chosen])

    def _survey(self, chosen: list[str]) -> tuple[set[str], dict[str, Any]]:
        """Return the whole numbers and booleans with a missing value, and the values of each dictionary in order of appearance."""
        import pyarrow
        from pyarrow import types

        kinds = {name: self._stored.field(name).type for name in chosen}
        coded = {name: [] for name in chosen if types.is_dictionary(kinds[name])}  # type: dict[str, list[Any]]
        open_ = [name for name in chosen if types.is_integer(kinds[name]) or types.is_boolean(kinds[name])]
        missing = {name for name in open_ if self._known_missing(name)}
        looked_at = [*coded, *(name for name in open_ if self._known_missing(name) is None)]
        if not looked_at:
            return missing, {}
        for batch in self._record_batches(looked_at, _SETTLE_ROWS):
            for name, column in zip(looked_at, batch.columns, strict=True):
                if name in coded:
                    found = pyarrow.chunked_array([*coded[name], column.dictionary])
                    coded[name] = [found.unique()]
                elif column.null_count:
                    missing.add(name)
        return missing, {name: parts[0] for name, parts in coded.items() if parts}

    def _known_missing(self, name: str) -> bool | None:
        """Return whether the file itself says that values are missing; None if it does not say."""
        return None

    def _read_schema(self) -> Any:
        raise NotImplementedError

    def _record_batches(self, chosen: list[str], rows: int | None, start: int = 0) -> Iterator[Any]:
        """Yield the record batches with these columns in this order, from this row on, about so many rows each where that can be had."""
        raise NotImplementedError


class _Parquet(_Columnar):
    def row_count(self) -> int:
        from pyarrow import parquet

        return int(parquet.read_metadata(self._path).num_rows)

    def _read_schema(self) -> Any:
        from pyarrow import parquet

        return parquet.read_schema(self._path)

    def _record_batches(self, chosen: list[str], rows: int | None, start: int = 0) -> Iterator[Any]:
        from pyarrow import parquet

        # Through a small buffer, or a row group's columns would be in memory before their first row is.
        with parquet.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            groups, skipped = _groups_from(start, [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)])
            read = file.iter_batches(batch_size=rows or _SETTLE_ROWS, row_groups=groups, columns=chosen)
            yield from _after(start - skipped, (batch.select(chosen) for batch in read))

    def _known_missing(self, name: str) -> bool | None:
        from pyarrow import parquet

        metadata = parquet.read_metadata(self._path)
        position = next((i for i in range(metadata.num_columns) if metadata.schema.column(i).path == name), None)
        if position is None:
            return None
        counts = [metadata.row_group(group).column(position).statistics for group in range(metadata.num_row_groups)]
        if any(each is None or not each.has_null_count for each in counts):
            return None
        return any(each.null_count for each in counts)


class _Arrow(_Columnar):
    """IPC: a file is recognised by its first bytes, anything else is read as a stream. Contents are mapped, not loaded."""

    def row_count(self) -> int:
        return sum(batch.num_rows for batch in self._record_batches([], None))

    def _read_schema(self) -> Any:
        with self._opened() as reader:
            return reader.schema

    def _record_batches(self, chosen: list[str], rows: int | None, start: int = 0) -> Iterator[Any]:
        with self._opened() as reader:
            is_file = hasattr(reader, "get_batch")
            read = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
            yield from _after(start, (batch.select(chosen) for batch in read))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow
        from pyarrow import ipc

        with self._path.open("rb") as file:
            is_file = file.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        open_: Callable[..., Any] = ipc.open_file if is_file else ipc.open_stream
        try:
            source: Any = pyarrow.memory_map(str(self._path))
        except OSError:  # the address space of a sandbox may be smaller than the file: then record batch by record batch
            source = pyarrow.OSFile(str(self._path))
        # All fields: asked for a few of them, Arrow reads a batch into memory that it would otherwise use where it lies.
        with source, open_(source) as reader:
            yield reader


def _index_columns(schema: Any) -> frozenset[str]:
    """Return the columns in which pandas stored an index."""
    described = schema.pandas_metadata or {}
    return frozenset(each for each in described.get("index_columns", ()) if isinstance(each, str))


def _to_frame(table: Any, stored: Any) -> pd.DataFrame:
    """Return the table as pandas reads it, with the types that pandas noted in the file and without its index."""
    described = stored.pandas_metadata
    if described:
        table = table.replace_schema_metadata({"pandas": json.dumps({**described, "index_columns": []})})
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _groups_from(start: int, sizes: list[int]) -> tuple[list[int], int]:
    """Return the row groups that hold this row and those after it, and how many rows the others before it have."""
    skipped = 0
    for first, size in enumerate(sizes):
        if skipped + size > start:
            return list(range(first, len(sizes))), skipped
        skipped += size
    return [], skipped


def _after(rows: int, record_batches: Iterator[Any]) -> Iterator[Any]:
    """Leave out so many rows of what comes."""
    for batch in record_batches:
        if rows < batch.num_rows:
            yield batch.slice(rows) if rows else batch
        rows = max(0, rows - batch.num_rows)


def _regrouped(record_batches: Iterator[Any], schema: Any, rows: int) -> Iterator[Any]:
    """Yield tables of exactly so many rows, the last one of what is left."""
    import pyarrow

    waiting = schema.empty_table()
    for batch in record_batches:
        waiting = pyarrow.concat_tables([waiting, pyarrow.Table.from_batches([batch])])
        while len(waiting) >= rows:
            yield waiting.slice(0, rows)
            waiting = waiting.slice(rows)
    if len(waiting):
        yield waiting


def _with_dictionaries(table: Any, values: dict[str, Any]) -> Any:
    """Return the table with each coded column on the values of the whole file, as it would be in the whole table."""
    import pyarrow
    from pyarrow import compute

    for name, all_of_it in values.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        decoded = table.column(position).cast(field.type.value_type)
        codes = compute.index_in(decoded, value_set=all_of_it, skip_nulls=True).combine_chunks()
        coded = pyarrow.DictionaryArray.from_arrays(codes, all_of_it, ordered=field.type.ordered)
        table = table.set_column(position, pyarrow.field(name, coded.type), coded)
    return table


def _widen(frame: pd.DataFrame, position: int) -> None:
    """Make whole numbers floats and booleans objects, as they are where a value is missing; types that know missing values stay."""
    import numpy as np

    kind = frame.dtypes.iloc[position]
    if isinstance(kind, np.dtype) and kind.kind in "iub":
        name = frame.columns[position]
        frame[name] = frame[name].astype(object if kind.kind == "b" else "float64")
