"""The search language: what it reads, what it refuses, and that it never breaks."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from tracking.filters import LISTED, NULL, NUMERIC, TEXT, Clause, Entity, Grammar, Key, Order, compare

GRAMMAR = Grammar(
    entities=(
        Entity("metrics", ("metric",), any_key=Key(NUMERIC, number=True)),
        Entity("tags", ("tag",), any_key=Key(TEXT | NULL)),
        Entity(
            "attributes",
            ("attr",),
            keys={
                "run_id": Key(TEXT | LISTED),
                "run_name": Key(TEXT),
                "start_time": Key(NUMERIC, number=True),
                "number": Key(NUMERIC, number=True, quoted_number=True),
            },
            key_aliases={"created": "start_time", "run name": "run_name"},
        ),
    ),
    default="attributes",
    sortable={"metrics": None, "attributes": frozenset({"start_time", "run_name"})},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("metrics.acc > 0.5", [Clause("metrics", "acc", ">", 0.5)]),
        ("metric.a.b<=-2", [Clause("metrics", "a.b", "<=", -2)]),
        ("metrics.`a b` = 1e9", [Clause("metrics", "a b", "=", 1e9)]),
        ("tags.k != 'v' and tag.\"x y\" like \"%_\"", [Clause("tags", "k", "!=", "v"), Clause("tags", "x y", "LIKE", "%_")]),
        ("tags.k = \"it's\" and tags.l = 'it''s'", [Clause("tags", "k", "=", "it's"), Clause("tags", "l", "=", "it''s")]),
        ("tags.'a b' = 'x' AND tags.1a = 'y'", [Clause("tags", "a b", "=", "x"), Clause("tags", "1a", "=", "y")]),
        ("tags.`and` is null AND tags.b IS NOT NULL", [Clause("tags", "and", "IS NULL", None), Clause("tags", "b", "IS NOT NULL", None)]),
        ("run_id IN ('a', \"b\")", [Clause("attributes", "run_id", "IN", ("a", "b"))]),
        ("attr.run_id not in ('a')", [Clause("attributes", "run_id", "NOT IN", ("a",))]),
        ("`run name` = 'x' AND created >= 5", [Clause("attributes", "run_name", "=", "x"), Clause("attributes", "start_time", ">=", 5)]),
        ("number = '7'", [Clause("attributes", "number", "=", 7)]),
    ],
)  # fmt: skip
def test_filters_are_read_into_clauses(text: str, expected: list[Clause]) -> None:
    assert GRAMMAR.clauses(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a > 1 OR metrics.b > 1", "(metrics.a > 1)", "metrics.a > 1; metrics.b > 1", "metrics.a > '1'", "metrics.a LIKE 1",
        "tags.a = b", "tags.a = `b`", "tags.a > 'b'", "wrong.a = 'b'", "attributes.nope = 'x'", "nope = 'x'", "run_id IN ()", "run_id IN ('a'",
        "run_id IN 'a'", "run_id IN ('a' 'b')", "run_name IN ('a')", "metrics.a >", "metrics.a", "metrics. > 1", "'a' = 'b'", "= 1", "AND",
        "metrics.a > 1 AND", "metrics.a > 1 metrics.b > 2", "tags.a = 'b", "start_time IS NULL", "start_time > 99999999999999999999",
        "metrics.a > nan", "metrics.a > +1", "metrics.a-b > 1", "tags.a/b = 'x'", "tags.1 = 'x'", "run name = 'x'", " ", "number = '1.5'", "number = 1.5", "tags.a IS", "tags.a NOT 'b'", "start_time > " + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_the_language_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        GRAMMAR.clauses(text)


@pytest.mark.parametrize(
    "text", ["name like 'x'", "name ilike 'x'", "name in ('x')", "`name` = 'x'", "entity.\"name\" = 'x'", "`tags`.a = 'x'"]
)
def test_a_stricter_grammar_minds_capitals_and_quotes(text: str) -> None:
    entities = (Entity("entity", keys={"name": Key(TEXT | LISTED)}), Entity("tags", any_key=Key(TEXT | NULL)))
    assert Grammar(entities, default="entity").clauses(text)
    with pytest.raises(Invalid):
        Grammar(entities, default="entity", capitals=True, bare=True).clauses(text)
    strict = Grammar(entities, default="entity", capitals=True, bare=True)
    assert len(strict.clauses("name LIKE 'x' and tags.`a b` is null and name not in ('x')")) == 3


def test_orders_are_read_with_their_direction() -> None:
    assert GRAMMAR.orders(["metrics.`a b` desc", "run_name", "attr.start_time ASC"]) == [
        Order("metrics", "a b", False),
        Order("attributes", "run_name", True),
        Order("attributes", "start_time", True),
    ]
    for wrong in (
        ["metrics.a SIDEWAYS"],
        ["tags.a"],
        ["run_id"],
        ["nope"],
        [""],
        ["`run name`"],
        [" run_name"],
        ["metrics.a", "metric.a DESC"],
    ):
        with pytest.raises(Invalid):
            GRAMMAR.orders(wrong)


def test_more_clauses_or_orders_than_a_database_plans_in_time_are_refused() -> None:
    assert len(GRAMMAR.clauses(" AND ".join(["tags.a = 'b'"] * 40))) == 40
    assert len(GRAMMAR.orders([f"metrics.m{at}" for at in range(40)])) == 40
    with pytest.raises(Invalid, match="40 clauses"):
        GRAMMAR.clauses(" AND ".join(["tags.a = 'b'"] * 41))
    with pytest.raises(Invalid, match="40 keys"):
        GRAMMAR.orders([f"metrics.m{at}" for at in range(41)])


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    for read in (GRAMMAR.clauses, lambda t: GRAMMAR.orders([t])):
        with suppress(Invalid):
            read(text)


_KEYS = st.text(st.characters(exclude_characters="`", codec="utf-8"), min_size=1, max_size=12)
_TEXTS = st.text(st.characters(exclude_characters="'", codec="utf-8"), max_size=20)


@given(st.lists(st.tuples(_KEYS, st.sampled_from(["=", "!=", "LIKE", "ILIKE"]), _TEXTS), max_size=4))
def test_what_is_written_is_what_is_read(clauses) -> None:
    quoted = [f"tags.`{key}` {comparator} '{value}'" for key, comparator, value in clauses]
    assert GRAMMAR.clauses(" AND ".join(quoted)) == [Clause("tags", *clause) for clause in clauses]


_LETTERS = st.text("aAbB%_*?[]-^\\.", max_size=8)


@given(_LETTERS, _LETTERS)
def test_like_minds_case_and_ilike_does_not(text: str, pattern: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    db = sqlite3.connect(":memory:")
    for comparator, flags in (("LIKE", 0), ("ILIKE", re.IGNORECASE)):
        condition, parameters = compare("%s", comparator, pattern, vendor="sqlite")
        got = db.execute("SELECT " + condition.replace("%s", "?"), [text, *parameters]).fetchone()[0]
        assert bool(got) == bool(re.fullmatch(expression, text, flags | re.DOTALL))
    db.close()
