"""A malformed document is refused with line, column and a remedy; a good one compiles and can be asked what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.documents import DocumentError, loaded, position
from governance.policy import Factor, compile_policy, parse_binding, parse_parameters
from tests.governance.broken_policies import BINDING, BROKEN, PARAMETERS, POLICY, Broken


def read(document: str) -> object:
    kind = document.partition("\n")[0]
    reader = parse_binding if kind == "kind: Binding" or kind == "kind: Bind" else compile_policy
    return (parse_parameters if kind == "kind: Parameters" else reader)(document)


def test_what_the_broken_ones_are_made_of_is_good() -> None:
    policy, binding, values = compile_policy(POLICY), parse_binding(BINDING), parse_parameters(PARAMETERS)
    assert policy.wrong_parameters({**binding.parameters, "validation_dataset": "d"}) == []
    assert policy.wrong_parameters({**values.values, "validation_dataset": "d"}) == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.case)
def test_a_mistake_is_told_with_its_place_and_a_remedy(broken: Broken) -> None:
    with pytest.raises(DocumentError) as refused:
        read(broken.document)
    mistakes = refused.value.mistakes
    assert any((m.line, m.column) == (broken.line, broken.column) and broken.says in m.message for m in mistakes), [
        str(m) for m in mistakes
    ]


def test_every_mistake_is_told_at_once_in_the_order_of_the_document() -> None:
    document = (
        POLICY.replace("${validation_dataset}", "${nothing}").replace(".value >=", ".valeu >=").replace("8 hours", "500 days")
    )
    with pytest.raises(DocumentError) as refused:
        compile_policy(document)
    assert [m.line for m in refused.value.mistakes] == [9, 14, 30]


STYLES = {
    "plain": lambda text: text,
    "single": lambda text: "'" + text.replace("'", "''") + "'",
    "double": lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"',
    "literal": lambda text: "|-\n    " + text,
    "folded": lambda text: ">-\n    " + text.replace(" ", "\n    "),
    "anchored": lambda text: f"&text '{text.replace(chr(39), chr(39) * 2)}'",
}


@given(
    words=st.lists(st.text("abcäß1\"'\\=()", min_size=1, max_size=5), min_size=1, max_size=8),
    style=st.sampled_from(sorted(STYLES)),
    data=st.data(),
)
def test_a_place_in_a_text_is_found_however_yaml_writes_it(words: list[str], style: str, data: st.DataObject) -> None:
    text = " ".join(["x", *words])
    document = f"a: 1\nb:\n  c: {STYLES[style](text)}\n"
    value, marks = loaded(document)
    assert value["b"]["c"] == text
    at = data.draw(st.integers(0, len(text) - 1).filter(lambda i: text[i] != " "))
    line, column = position(document, marks["b", "c"], text, 1, at + 1)
    found = document.splitlines()[line - 1][column - 1 :]
    assert found[0] == ("\\" if style == "double" and text[at] in '"\\' else text[at])
    # Distinct places stay distinct and in order: as many characters stand before it as in the text.
    assert position(document, marks["b", "c"], text, 1, 1) <= (line, column)


def test_a_good_document_says_what_it_asks_for() -> None:
    policy = compile_policy(POLICY)
    (step,) = policy.steps
    assert step.factors == (Factor("reviewer", 2, ("outside_owner_team",)),)
    assert (step.due.amount, step.due.unit, step.due.business, step.escalate_to) == (3, "day", True, "head-of-risk")
    assert policy.sequential and policy.escalates_on_timeout and policy.release.on_demand
    assert (policy.waivers.approved_by, policy.waivers.max_days, policy.signature_meanings) == (
        "waiver-board",
        90,
        ("I reviewed the evidence",),
    )
    assert policy.release.windows[0].timezone == "Europe/Berlin"
    assert (policy.validity.days, policy.validity.re_review_on) == (365, ("drift",))
    assert policy.rollback is not None and policy.rollback.steps[0].factors == (Factor("reviewer", 1),)
    assert policy.checks[0].resolved({"validation_dataset": "held-out"}).dataset == "held-out"


def test_parameters_have_defaults_and_types() -> None:
    policy = compile_policy(POLICY)
    assert policy.effective({"validation_dataset": "d"}) == {"min_roc_auc": 0.7, "validation_dataset": "d"}
    assert policy.effective({"validation_dataset": "d", "min_roc_auc": 0.9})["min_roc_auc"] == 0.9
    assert policy.wrong_parameters({}) == ["parameter validation_dataset has no default: give a text"]
    assert policy.wrong_parameters({"validation_dataset": "d", "min_roc_auc": "high"}) == [
        "parameter min_roc_auc must be a number, not 'high'"
    ]
    assert "there is no parameter other" in policy.wrong_parameters({"validation_dataset": "d", "other": 1})[0]


def test_a_change_is_material_unless_the_policy_says_otherwise() -> None:
    policy = compile_policy(
        POLICY.replace("    waivable: true", "    waivable: true\n    materiality: immaterial").replace(
            "steps:\n  - name: review",
            "  - {id: brier, title: B, how_to_satisfy: x, satisfied_if: 'measurements.brier.value < 0.2'}\nsteps:\n  - name: review",
        )
    )
    immaterial = ["card.contact_mail", "measurements.roc_auc", "champion.measurements.roc_auc"]
    material = [
        "content",
        "policies.credit",
        "card.intended_use",
        "measurements.brier",
        "measurements.f1",
        "card.measurements.roc_auc",
    ]
    assert [policy.is_material(path) for path in immaterial + material] == [False] * 3 + [True] * 6


def test_a_requirement_that_looks_at_all_measurements_is_named_by_each() -> None:
    document = POLICY.replace("    waivable: true", "    materiality: immaterial").replace(
        "steps:\n  - name: review",
        "  - {id: all, title: A, how_to_satisfy: x, satisfied_if: 'measurements.all(m, m != \"x\")'}\nsteps:\n  - name: review",
    )
    assert compile_policy(document).is_material("measurements.roc_auc")


@pytest.mark.parametrize(
    ("written", "since"),
    [
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ('"2026-02-01"', datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T09:30Z", datetime(2026, 2, 1, 9, 30, tzinfo=UTC)),
        ("2026-02-01T09:30:15Z", datetime(2026, 2, 1, 9, 30, 15, tzinfo=UTC)),
    ],
)
def test_a_date_needs_no_quotes(written: str, since: datetime) -> None:
    assert parse_binding(BINDING.replace("2026-02-01", written)).since == since


def test_a_binding_enforces_unless_it_says_otherwise() -> None:
    assert parse_binding(BINDING.replace("mode: enforce\n", "")).mode == "enforce"
    assert parse_binding(BINDING.replace("mode: enforce", "mode: shadow")).mode == "shadow"
    named = parse_binding(BINDING.replace("{min_roc_auc: 0.75}", "credit-limits"))
    assert (named.parameters, named.parameters_name) == ({}, "credit-limits")


def test_the_demo_policies_compile() -> None:
    folder = Path(__file__).parents[2] / "demo" / "policies"
    assert compile_policy((folder / "credit-production.yaml").read_text()).steps[0].factors == (Factor("reviewer", 2),)
    assert parse_binding((folder / "credit-binding.yaml").read_text()).stages == ("Production",)
