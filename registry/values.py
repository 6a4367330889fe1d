"""Columns of a file as values of a contract's type, and which of them are none. Pure, by Arrow alone."""

from __future__ import annotations

from typing import Any

# Whole numbers may be written with a fraction of nothing, since pandas writes them so where a value is missing.
_INTEGER = r"\A[+-]?[0-9]+(\.0*)?\z"
_NUMBER = r"(?i)\A[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf|infinity)\z"
_BOOLEAN = r"(?i)\A(true|false|0|1)\z"
_NAIVE = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.]+)?\z"
_ZONED = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+(Z|[+-][0-9]{2}(:?[0-9]{2})?)\z"


def plain(column: Any) -> Any:
    """Return a column without a dictionary, and with NaN as the missing value that it is for checks."""
    import pyarrow
    from pyarrow import compute, types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_floating(column.type):
        return compute.if_else(compute.is_nan(column), pyarrow.scalar(None, column.type), column)
    return column


def fits(kind: Any, wanted: str) -> bool:
    """Return whether a column of this Arrow type can hold values of the wanted type at all; text as in a CSV is asked of each value."""
    from pyarrow import types

    if types.is_null(kind):
        return True
    if wanted in ("integer", "number"):
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    if wanted == "boolean":
        return bool(types.is_boolean(kind))
    if wanted == "datetime":
        return bool(types.is_timestamp(kind) or types.is_date(kind))
    return bool(types.is_string(kind) or types.is_large_string(kind))


def typed(column: Any, wanted: str) -> Any:
    """Return a plain column as int64, float64, bool, timestamp in UTC or text; null where a value is missing or not of the type.

    wanted: integer, number, boolean, datetime or string; the column's type ``fits`` it, or is text.
    """
    import pyarrow
    from pyarrow import types

    text = types.is_string(column.type) or types.is_large_string(column.type)
    if types.is_null(column.type):
        return pyarrow.nulls(len(column), _target(wanted))
    if wanted == "string":
        return column.cast(pyarrow.large_string())
    if text:
        return _read(column, wanted)
    if wanted == "datetime":
        zoned = types.is_timestamp(column.type) and column.type.tz
        return column.cast(pyarrow.timestamp("us", "UTC" if zoned else None), safe=False).cast(_target("datetime"))
    if wanted == "integer" and not types.is_integer(column.type):
        return _cast(_whole_only(column), _target(wanted))
    return column.cast(pyarrow.float64(), safe=False) if wanted == "number" else _cast(column, _target(wanted))


def _target(wanted: str) -> Any:
    import pyarrow

    return {
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "datetime": pyarrow.timestamp("us", "UTC"),
        "string": pyarrow.large_string(),
    }[wanted]


def _whole_only(numbers: Any) -> Any:
    import pyarrow
    from pyarrow import compute

    none = pyarrow.scalar(None, numbers.type)
    return compute.if_else(compute.equal(numbers, compute.floor(numbers)), numbers, none)


def _read(texts: Any, wanted: str) -> Any:
    from pyarrow import compute

    texts = compute.utf8_trim_whitespace(texts)
    if wanted == "datetime":
        naive = _cast(_matching(texts, _NAIVE), _naive_time()).cast(_target(wanted))
        return compute.coalesce(naive, _cast(_matching(texts, _ZONED), _target(wanted)))
    if wanted == "boolean":
        return _cast(_matching(texts, _BOOLEAN), _target(wanted))
    texts = _matching(texts, _INTEGER if wanted == "integer" else _NUMBER)
    texts = compute.replace_substring_regex(texts, r"\A\+", "")
    if wanted == "integer":
        texts = compute.replace_substring_regex(texts, r"\.0*\z", "")
    return _cast(texts, _target(wanted))


def _naive_time() -> Any:
    import pyarrow

    return pyarrow.timestamp("us")


def _matching(texts: Any, pattern: str) -> Any:
    import pyarrow
    from pyarrow import compute

    return compute.if_else(compute.match_substring_regex(texts, pattern), texts, pyarrow.scalar(None, texts.type))


def _cast(column: Any, kind: Any) -> Any:
    """Cast each value that can be; Arrow gives all or nothing, so what holds one that cannot is halved until it is alone."""
    import pyarrow

    try:
        return column.cast(kind)
    except pyarrow.ArrowInvalid:
        if len(column) == 1:
            return pyarrow.nulls(1, kind)
    middle = len(column) // 2
    return pyarrow.concat_arrays([_cast(column.slice(0, middle), kind), _cast(column.slice(middle), kind)])
