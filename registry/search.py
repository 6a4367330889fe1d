"""The two searches of the registry in MLflow's filter language, as conditions and orders for the statements in ``records``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.sql import is_postgresql
from registry.names import IS_PROMPT_TAG
from registry.sql import value_prefix
from tracking.filters import LISTED, NUMERIC, TEXT, Clause, Entity, Grammar, Key, Order, compare

_TAGS = Entity("tags", ("tag",), any_key=Key(TEXT))
_ONLY_SORTED = Key(frozenset())

_MODELS = Grammar(
    (
        Entity(
            "attribute",
            keys={"name": Key(TEXT | LISTED), "last_updated_timestamp": _ONLY_SORTED},
            key_aliases={"timestamp": "last_updated_timestamp"},
        ),
        _TAGS,
    ),
    default="attribute",
    sortable={"attribute": None},
    bare=True,
)
_VERSIONS = Grammar(
    (
        Entity(
            "attribute",
            keys={
                "name": Key(TEXT | LISTED),
                "run_id": Key(TEXT | LISTED),
                "source_path": Key(TEXT),
                "version_number": Key(NUMERIC, number=True, quoted_number=True),
                "creation_timestamp": _ONLY_SORTED,
                "last_updated_timestamp": _ONLY_SORTED,
            },
        ),
        _TAGS,
    ),
    default="attribute",
    sortable={"attribute": frozenset({"name", "version_number", "creation_timestamp", "last_updated_timestamp"})},
    bare=True,
)

# Key -> where it is found among the tables (m: model, v: version).
_MODEL_COLUMNS = {"name": "m.name", "last_updated_timestamp": "m.updated_ms"}
_VERSION_COLUMNS = {
    "name": "m.name",
    "run_id": "v.run_id",
    "source_path": "v.source",
    "version_number": "v.number",
    "creation_timestamp": "v.created_ms",
    "last_updated_timestamp": "v.updated_ms",
}

Condition = tuple[str, list[Any]]


def models(text: str | None, order_by: Iterable[str] = ()) -> tuple[Condition, str]:
    """Return the condition and order of a search for models; by name if nothing else is asked. Raises Invalid."""
    clauses, orders = _MODELS.clauses(text), _MODELS.orders(order_by)
    condition = _condition(clauses, _MODEL_COLUMNS, "registry_registeredmodeltag", "model_id", "m.id")
    return condition, _order([*orders, *_missing(orders, name=True)], _MODEL_COLUMNS)


def versions(text: str | None, order_by: Iterable[str] = ()) -> tuple[Condition, str]:
    """Return the condition and order of a search for versions; the last changed first if nothing else is asked. Raises Invalid."""
    clauses, orders = _VERSIONS.clauses(text), _VERSIONS.orders(order_by)
    condition = _condition(clauses, _VERSION_COLUMNS, "registry_modelversiontag", "version_id", "v.id")
    orders = orders or [Order("attribute", "last_updated_timestamp", False)]
    return condition, _order([*orders, *_missing(orders, name=True, version_number=False)], _VERSION_COLUMNS)


def _missing(orders: list[Order], **keys: bool) -> list[Order]:
    """Return the keys that break ties (with whether they ascend), but for those that are sorted by already."""
    named = {order.key for order in orders}
    return [Order("attribute", key, ascending) for key, ascending in keys.items() if key not in named]


def _order(orders: list[Order], columns: Mapping[str, str]) -> str:
    return ", ".join(f"{_sorted(columns[order.key])} {'ASC' if order.ascending else 'DESC'}" for order in orders)


def _sorted(column: str) -> str:
    # By code point on both engines, whatever the database's locale.
    return f'{column} COLLATE "C"' if column == "m.name" and is_postgresql() else column


def _condition(clauses: list[Clause], columns: Mapping[str, str], tags: str, owner: str, row: str) -> Condition:
    conditions: list[str] = []
    parameters: list[Any] = []
    prompts = _asks_for_prompts(clauses)
    if not prompts:
        conditions.append("NOT m.is_prompt")
    for clause in clauses:
        if clause.entity == "tags":
            if clause.key == IS_PROMPT_TAG and not prompts:
                continue  # models are not marked as being no prompt, so this asks for what is the case anyway
            condition, values = _tag(clause, tags, owner, row)
        else:
            condition, values = _compare(columns[clause.key], clause)
        conditions.append(condition)
        parameters += values
    return " AND ".join(conditions) or "TRUE", parameters


def _tag(clause: Clause, tags: str, owner: str, row: str) -> Condition:
    # SQLite would put a value that is asked for in the place of a plain column, and know the index's expression no more.
    condition, values = _compare("t.value" if is_postgresql() else "+t.value", clause)
    if clause.comparator == "=":  # lets the index on the beginning of the value find the rows
        condition = f"{value_prefix('t.value')} = {value_prefix('%s')} AND {condition}"
        values = [*values, *values]
    return f"{row} IN (SELECT t.{owner} FROM {tags} t WHERE t.key = %s AND {condition})", [clause.key, *values]


def _compare(column: str, clause: Clause) -> Condition:
    return compare(column, clause.comparator, clause.value, vendor="postgresql" if is_postgresql() else "sqlite")


def _asks_for_prompts(clauses: list[Clause]) -> bool:
    for clause in clauses:
        if clause.entity == "tags" and clause.key == IS_PROMPT_TAG:
            value = str(clause.value).lower()
            return (clause.comparator, value) in (("=", "true"), ("!=", "false"))
    return False
