"""What an expression reads is taken from its syntax tree: neither too little, which would change verdicts, nor all of it."""

from __future__ import annotations

import pytest

from governance.expressions import language
from governance.reads import Reads

LANGUAGE = language((("metric", "text"), ("limit", "number")))

READ = {
    'measurements["a"].value > champion.measurements["b"].value': {
        ("measurements", "a", "value"),
        ("champion", "measurements", "b", "value"),
    },
    "measurements.a.value > params.limit": {("measurements", "a", "value"), ("params", "limit")},
    '"scan" in version.checks': {("version", "checks", "scan")},
    "has(version.measurements.a)": {("version", "measurements", "a")},
    "measurements[params.metric].value > 1.0": {("measurements",), ("params", "metric")},
    '["a", "b"].all(s, s in version.card && version.card[s].size() > 3)': {("version", "card")},
    '!findings.exists(f, f.severity == "critical")': {("findings",)},
    "measurements.all(m, measurements[m].value > 0.0)": {("measurements",)},
    'waivers[0].reason == ""': {("waivers",)},
    "dyn(version).number == 1": {("version",)},
    "version == champion": {("version",), ("champion",)},
    "measurements.size() > 3 ? true : model.name == 'x'": {("measurements",), ("model", "name")},
    '{"a": version.number}["a"] > [request.id][0]': {("version", "number"), ("request", "id")},
    "findings.exists(version, version.rule == 'x')": {("findings",)},  # a name of the macro's own
    '"measurements" == model.name': {("model", "name")},  # a text that looks like a name
    'measurements["scan.findings"].value == 0.0': {("measurements", "scan.findings", "value")},
}


@pytest.mark.parametrize("text", READ)
def test_paths_are_as_long_as_can_be_told(text: str) -> None:
    assert LANGUAGE.compile(text, ("BOOL",)).reads.paths == READ[text]


def test_the_tree_ends_where_all_is_read() -> None:
    reads = Reads(frozenset({("version", "card"), ("version", "card", "use"), ("version", "number"), ("findings",)}))
    assert reads.shape == {"version": {"card": None, "number": None}, "findings": None}
    assert (reads | Reads(frozenset({("version",)}))).shape == {"version": None, "findings": None}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('measurements["a"].value > champion.measurements["b"].value', {"a", "b"}),
        ("version.measurements.c.value > 1.0", {"c"}),
        ("version.number > 1", set()),
        ("measurements.size() > 1", None),
        ("dyn(champion).number > 1", None),
        ("measurements[params.metric].n > 1", None),
    ],
)
def test_measurements_are_named_or_any_may_be_meant(text: str, named: set[str] | None) -> None:
    found = LANGUAGE.compile(text, ("BOOL",)).reads.measurements()
    assert (None if found is None else set(found)) == named


@pytest.mark.parametrize(
    ("text", "gains"),
    [
        ('!findings.exists(f, f.rule == "x")', True),
        ("version.findings.size() == 0", True),
        ("champion.findings.size() == 0", False),
        ("open_findings.size() == 0", False),
        ('measurements["scan.findings"].value == 0.0', False),
        ('!("a" in measurements)', True),
        ("!has(version.measurements.a)", True),
        ("measurements.all(m, m != 'a')", True),
        ('version.checks["scan"].state != "failed"', False),
        ("version.checks.all(c, version.checks[c].state == 'passed')", True),
        ("dyn(version).number == 1", True),
    ],
)
def test_what_absent_evidence_could_turn_to_the_better_is_known(text: str, gains: bool) -> None:
    assert LANGUAGE.compile(text, ("BOOL",)).reads.gains_by_absence() is gains
