"""Filters and orders from the grammar of the protocol, and what is left of them after a few accidents."""

from __future__ import annotations

from hypothesis import strategies as st

_ENTITIES = ("metrics", "params", "tags", "attributes", "datasets", "attr", "run", "metric", "nothing", "")
_KEYS = (
    "loss", "a", "team", "`a key`", '"a key"', "mlflow.runName", "name", "run_id", "status", "start_time", "end_time",
    "experiment_id", "creation_time", "last_update_time", "digest", "context", "version_number", "source_path", "model_id",
    "creation_timestamp", "last_updated_timestamp", "created", "Run name", "run_name", "artifact_uri", "user_id", "model_type",
)  # fmt: skip
_COMPARATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "like", "IN", "NOT IN", "IS NULL", "IS NOT NULL", "==", "~")
_TEXTS = (
    "'a'",
    "'%'",
    "'_%[*?\\'",
    '"b"',
    "''",
    "'it''s'",
    "'\\'",
    "'\u00e9\U0001f600'",
    "'" + "%_" * 2000 + "'",
    "'" + "x" * 9000 + "'",
)
_NUMBERS = (
    "0", "1", "-1.5", "1e308", "1e400", "-1e400", "9223372036854775807", "9223372036854775808", "9" * 5000, "0x10", "1_0",
    "\u0663", "\u00b2", ".5", "5.", "nan", "inf", "'1'",
)  # fmt: skip
_LISTS = ("('a', 'b')", "()", "('a'", "(1, 2)", "('a',)", "(" + ", ".join(["'x'"] * 3000) + ")")

# Understood by most searches.
_PLAIN = (
    "tags.team = 'red'",
    "tags.a IS NULL",
    "tags.`a key` ILIKE '%B%'",
    "name LIKE '%'",
    "name != 'x'",
    "tags.team != 'blue'",
)

_values = st.one_of(st.sampled_from(_TEXTS), st.sampled_from(_NUMBERS), st.sampled_from(_LISTS))


@st.composite
def _clause(draw: st.DrawFn, known: tuple[str, ...]) -> str:
    entity, key = draw(st.sampled_from(_ENTITIES)), draw(st.sampled_from(_KEYS))
    comparator = draw(st.sampled_from(_COMPARATORS))
    value = draw(st.one_of(_values, st.sampled_from(known).map(lambda text: f"'{text}'")))
    return f"{entity}.{key} {comparator} {value}" if entity else f"{key} {comparator} {value}"


@st.composite
def _mutated(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    match draw(st.integers(0, 3)):
        case 0:
            return text[:at] + text[at + draw(st.integers(1, 5)) :]
        case 1:
            return (
                text[:at]
                + draw(st.sampled_from(["'", '"', "`", "(", ")", ";", "--", "\x00", "\ud800", " OR ", "%s", "{}", "."]))
                + text[at:]
            )
        case 2:
            return text * draw(st.integers(2, 40))
    return text[:at] + draw(st.text(max_size=5)) + text[at:]


def filters(known: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return filters; known: values of things that exist."""
    plain = st.lists(st.sampled_from(_PLAIN), max_size=3).map(" AND ".join)
    whole = st.lists(_clause(known), min_size=1, max_size=4).map(" AND ".join)
    return st.one_of(
        plain,
        plain,
        whole,
        whole,
        whole.flatmap(_mutated),
        st.sampled_from([" AND ".join(["tags.a = 'b'"] * 400), " AND ".join(["tags.a = 'b'"] * 40), "(" * 50_000]),
    )


def orders() -> st.SearchStrategy[str]:
    """Return items of an order."""
    plain = st.builds(
        lambda entity, key, way: f"{entity}.{key}{way}" if entity else f"{key}{way}",
        st.sampled_from(_ENTITIES),
        st.sampled_from(_KEYS),
        st.sampled_from(["", " ASC", " DESC", " desc", " sideways", " ASC DESC"]),
    )
    return st.one_of(plain, plain, plain.flatmap(_mutated))
