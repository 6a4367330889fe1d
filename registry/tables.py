"""What a file with a table in it holds: its columns with their types and how many rows, read in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Invalid

# The ending of a file's name -> its format.
ENDINGS = {".csv.gz": "csv.gz", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".feather": "arrow"}
FORMATS = ("csv", "csv.gz", "parquet", "arrow")

BATCH_ROWS = 65_536
_BLOCK_BYTES = 2 * 1024 * 1024  # no row may be longer; Arrow reads some thirty blocks ahead
_BUFFER_BYTES = 1024 * 1024
_MAX_COLUMNS = 10_000
_ARROW_FILE = b"ARROW1"

# Texts of a CSV that are missing values: those that pandas takes for such, since checks read with it.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The shape of a table. columns: (name, type) in file order; types: integer, number, boolean, datetime, string or Arrow's."""

    columns: list[tuple[str, str]]
    row_count: int


@dataclass(frozen=True)
class Batches:
    """A table on the way: Arrow's fields in file order, and record batches to go through once. as_text: a CSV's, not typed yet."""

    fields: list[Any]
    batches: Iterator[Any]
    as_text: bool


def format_of(name: str) -> str:
    """Return the format that a file's name says. Raises Invalid."""
    found = next((form for ending, form in ENDINGS.items() if name.endswith(ending)), None)
    if found is None:
        raise Invalid(f"{name}: a data set is a file that ends in {', '.join(ENDINGS)}.")
    return found


def read(path: Path, form: str) -> Table:
    """Return the shape of a file. Raises Invalid for one that is damaged, has no rows, or names a column twice or not at all."""
    with opened(path, form) as table:
        kinds = [_Kind() if table.as_text else None for _ in table.fields]
        rows = 0
        for batch in table.batches:
            rows += batch.num_rows
            for kind, column in zip(kinds, batch.columns, strict=True):
                if kind is not None:
                    kind.see(column)
    columns = [
        (field.name, kind.name if kind is not None else kind_of(field.type))
        for field, kind in zip(table.fields, kinds, strict=True)
    ]
    if not rows:
        raise Invalid("The file has no rows.")
    return Table(columns, rows)


@contextmanager
def opened(path: Path, form: str) -> Iterator[Batches]:
    """Open a file to read it once. Raises Invalid, also later, for one that is damaged or names a column twice or not at all."""
    import pyarrow  # a third of a second and 100 MB that a web process only pays once somebody registers a data set

    try:
        if form == "parquet":
            reading = _parquet(path)
        elif form == "arrow":
            reading = _arrow(path)
        else:
            reading = _csv(path, compressed=form == "csv.gz")
        with reading as table:
            _check_names([field.name for field in table.fields])
            yield table
    except (pyarrow.ArrowException, OSError, EOFError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise Invalid(f"The file cannot be read as {form}: {said[:300]}") from None


def _check_names(names: list[str]) -> None:
    if len(names) > _MAX_COLUMNS:
        raise Invalid(f"A data set has at most {_MAX_COLUMNS} columns; this file has {len(names)}.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Invalid(f"The file has more than one column {twice[0]!r}.")
    if not all(name.strip() for name in names):
        raise Invalid("The file has a column without a name.")


@contextmanager
def _csv(path: Path, *, compressed: bool) -> Iterator[Batches]:
    import pyarrow
    from pyarrow import csv

    def reading(source: Any, **convert: Any) -> Any:
        return csv.open_csv(
            source,
            read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(**convert),
        )

    compression = "gzip" if compressed else None
    with pyarrow.input_stream(str(path), compression=compression) as source:
        header = reading(source).schema.names
    _check_names(header)
    # As texts: Arrow fixes the types by the first block, and would refuse a file whose later rows have 1.5 where it saw 1.
    fields = [pyarrow.field(name, pyarrow.string()) for name in header]
    texts = {"column_types": pyarrow.schema(fields), "strings_can_be_null": True, "null_values": list(MISSING)}
    with pyarrow.input_stream(str(path), compression=compression) as source:
        yield Batches(fields, iter(reading(source, **texts)), as_text=True)


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


@contextmanager
def _parquet(path: Path) -> Iterator[Batches]:
    from pyarrow import parquet

    # Through a small buffer, or the columns of a row group would be in memory before its first row is.
    with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        yield Batches(list(file.schema_arrow), file.iter_batches(batch_size=BATCH_ROWS), as_text=False)


@contextmanager
def _arrow(path: Path) -> Iterator[Batches]:
    import pyarrow
    from pyarrow import ipc

    with path.open("rb") as file:
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    # Mapped, so that a file of one large record batch is not in memory as a whole.
    with pyarrow.memory_map(str(path)) as source, ipc.open_file(source) if is_file else ipc.open_stream(source) as reader:
        found = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
        yield Batches(list(reader.schema), _sliced(found), as_text=False)


def _sliced(found: Iterator[Any]) -> Iterator[Any]:
    for batch in found:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            # Offsets and lengths are as the file has them: one that points outside would be read outside.
            part.validate(full=True)
            yield part


def kind_of(kind: Any) -> str:
    """Return what we call a type of Arrow: integer, number, boolean, datetime or string, else as Arrow calls it."""
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
