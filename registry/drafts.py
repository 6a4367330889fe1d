"""A first contract from what a file holds, for people to correct: what is so is no promise that it will be."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from core.canonical import LARGEST_INTEGER
from registry import values
from registry.contracts import TYPES
from registry.tables import opened

_MOST_ALLOWED = 20


def draft(path: Path, form: str, columns: list[tuple[str, str]], *, with_values: bool) -> str:
    """Return a contract as YAML that this file keeps; columns: (name, type) as registered.

    with_values: say ranges and allowed values, which are values of the data; without, types and missing values alone.
    Raises Invalid for a file that cannot be read.
    """
    with opened(path, form) as table:
        kinds = {each.name: each.type for each in table.fields}
        described = [
            _Described(name, kind, with_values)
            for name, kind in columns
            if kind in TYPES and (table.as_text or _holds(kinds[name], kind))
        ]
        positions = {each.name: position for position, each in enumerate(table.fields)}
        rows = 0
        for batch in table.batches:
            rows += batch.num_rows
            for each in described:
                each.see(values.plain(batch.column(positions[each.name])))
    document = {
        "kind": "DataContract",
        "min_rows": 1,
        # Columns of lists and the like are no column of a contract.
        "other_columns": "refused" if len(described) == len(columns) else "allowed",
        "columns": [each.rules(rows) for each in described],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _holds(kind: Any, wanted: str) -> bool:
    from pyarrow import types

    return values.fits(kind.value_type if types.is_dictionary(kind) else kind, wanted)


class _Described:
    """What is so in one column."""

    def __init__(self, name: str, kind: str, with_values: bool) -> None:
        self.name, self._kind, self._with_values = name, kind, with_values
        self._missing = 0
        self._least: Any = None
        self._most: Any = None
        self._distinct: dict[Any, None] | None = {} if kind == "string" else None

    def see(self, column: Any) -> None:
        """Take in the next part."""
        from pyarrow import compute

        self._missing += column.null_count
        if not self._with_values or column.null_count == len(column):
            return
        typed = values.typed(column, self._kind)
        if self._kind in ("integer", "number", "datetime"):
            found = compute.min_max(typed).as_py()
            self._least = found["min"] if self._least is None else min(self._least, found["min"])
            self._most = found["max"] if self._most is None else max(self._most, found["max"])
        elif self._distinct is not None:
            self._distinct.update(dict.fromkeys(each for each in compute.unique(typed).to_pylist() if each is not None))
            if len(self._distinct) > _MOST_ALLOWED:
                self._distinct = None

    def rules(self, rows: int) -> dict[str, Any]:
        """Return the column's part of the contract, of a file with so many rows."""
        rules: dict[str, Any] = {"name": self.name, "type": self._kind}
        if self._missing:
            rules["max_missing"] = math.ceil(self._missing / rows * 100) / 100
        else:
            rules["nullable"] = False
        for key, bound in (("min", self._least), ("max", self._most)):
            if isinstance(bound, datetime):
                rules[key] = bound.isoformat()
            elif bound is not None and abs(bound) <= LARGEST_INTEGER:
                rules[key] = bound
        if self._with_values and self._distinct:
            rules["allowed"] = sorted(self._distinct)
        return rules
