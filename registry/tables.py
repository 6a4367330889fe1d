"""What a file with a table in it holds: its columns with their types and how many rows, read in batches of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Invalid

FORMATS = ("csv", "csv.gz", "parquet")

_BLOCK_BYTES = 8 * 1024 * 1024
_MAX_COLUMNS = 10_000


@dataclass(frozen=True)
class Table:
    """The shape of a table. columns: (name, type) in file order; types: integer, number, boolean, datetime, string or Arrow's."""

    columns: list[tuple[str, str]]
    row_count: int


def read(path: Path, form: str) -> Table:
    """Return the shape of a file. Raises Invalid for one that is damaged, has no rows, or names a column twice or not at all."""
    import pyarrow  # a third of a second and 100 MB that a web process only pays once somebody registers a data set

    try:
        table = _parquet(path) if form == "parquet" else _csv(path, compressed=form == "csv.gz")
    except (pyarrow.ArrowException, OSError, EOFError, ValueError) as error:
        raise Invalid(f"The file cannot be read as {form}: {str(error).splitlines()[0][:300]}") from None
    names = [name for name, _ in table.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"The file has more than one column {twice[0]!r}.")
    if not all(name.strip() for name in names):
        raise Invalid("The file has a column without a name.")
    if not table.row_count:
        raise Invalid("The file has no rows.")
    return table


def _csv(path: Path, *, compressed: bool) -> Table:
    import pyarrow
    from pyarrow import csv

    kinds: list[_Kind] = []
    rows = 0
    with pyarrow.input_stream(str(path), compression="gzip" if compressed else None) as source:
        header = csv.open_csv(source, read_options=csv.ReadOptions(block_size=_BLOCK_BYTES)).schema.names
    _few_enough(header)
    # As texts: Arrow fixes the types by the first block, and would refuse a file whose later rows have 1.5 where it saw 1.
    texts = csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=True)
    with pyarrow.input_stream(str(path), compression="gzip" if compressed else None) as source:
        reader = csv.open_csv(source, read_options=csv.ReadOptions(block_size=_BLOCK_BYTES), convert_options=texts)
        kinds = [_Kind() for _ in header]
        for batch in reader:
            rows += batch.num_rows
            for kind, column in zip(kinds, batch.columns, strict=True):
                kind.see(column)
    return Table([(name, kind.name) for name, kind in zip(header, kinds, strict=True)], rows)


class _Kind:
    """The first type that all texts of a column seen so far can be read as."""

    def __init__(self) -> None:
        import pyarrow

        self._left: list[tuple[str, Any]] = [
            ("integer", pyarrow.int64()),
            ("number", pyarrow.float64()),
            ("boolean", pyarrow.bool_()),
            ("datetime", pyarrow.timestamp("us")),
        ]
        self._seen = False

    @property
    def name(self) -> str:
        return self._left[0][0] if self._seen and self._left else "string"

    def see(self, texts: Any) -> None:
        if texts.null_count == len(texts):
            return
        self._seen = True
        self._left = [(name, kind) for name, kind in self._left if _fits(texts, kind)]


def _fits(texts: Any, kind: Any) -> bool:
    import pyarrow

    try:
        texts.cast(kind)
    except pyarrow.ArrowInvalid:
        return False
    return True


def _parquet(path: Path) -> Table:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        _few_enough(schema.names)
        rows = sum(batch.num_rows for batch in file.iter_batches(batch_size=65_536))
        return Table([(column.name, _kind_of(column.type)) for column in schema], rows)


def _kind_of(kind: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    for name, fits in (
        ("boolean", types.is_boolean),
        ("integer", types.is_integer),
        ("number", types.is_floating),
        ("number", types.is_decimal),
        ("datetime", types.is_temporal),
        ("string", types.is_string),
        ("string", types.is_large_string),
    ):
        if fits(kind):
            return name
    return str(kind)


def _few_enough(names: list[str]) -> None:
    if len(names) > _MAX_COLUMNS:
        raise Invalid(f"A data set has at most {_MAX_COLUMNS} columns; this file has {len(names)}.")
