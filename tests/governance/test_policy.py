"""A malformed policy is refused with line, column and what was expected; a good one compiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance.documents import DocumentError
from governance.policy import Factor, compile_policy, parse_binding

GOOD = """\
kind: Policy
name: credit-production
parameters:
  min_roc_auc: {type: number, default: 0.7}
requirements:
  - id: roc-auc
    title: ROC AUC
    how_to_satisfy: Improve the model.
    satisfied_if: measurements["roc_auc"].value >= params.min_roc_auc
"""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BROKEN = [
    ("", 1, 1, "the document is empty"),
    ("kind: [", 1, 8, "not valid YAML"),
    ("just a sentence", 1, 1, "must be of type object"),
    (changed("kind: Policy", "kind: Polcy"), 1, 7, "kind must be Policy"),
    (changed("name: credit-production", "name: Credit Production"), 2, 7, "expected lower-case letters"),
    (changed("requirements:", "requirement:"), 5, 1, "there is no field requirement here; expected one of calendar"),
    (changed("    title: ROC AUC\n", ""), 6, 5, "lacks title"),
    (changed("id: roc-auc", "id: roc-auc\n    id: again"), 7, 5, "stands here a second time"),
    (changed("type: number", "type: float"), 4, 23, "type must be one of number, integer, text, flag"),
    (changed("default: 0.7", "default: high"), 4, 40, "is not a number"),
    (changed(".value >=", ".valeu >="), 9, 42, "undefined field 'valeu'"),
    (changed("params.min_roc_auc", "params.min_auc"), 9, 58, "undefined field 'min_auc'"),
    (changed("params.min_roc_auc", '"0.7"'), 9, 49, "no matching overload"),
    (changed(">= params.min_roc_auc", ""), 9, 19, "the expression gives a number; expected true or false"),
    (changed(">= params.min_roc_auc", ">= (params.min_roc_auc"), 9, 71, "Syntax error"),
    (
        changed("satisfied_if: m", "satisfied_if: |\n      version.number > 0 &&\n      m").replace(".value", ".valeu"),
        11,
        30,
        "valeu",
    ),
    (GOOD + "checks:\n  - check: fairness\n    dataset: ${nothing}\n", 11, 5, "${nothing} names no parameter"),
    (GOOD + "steps:\n  - {name: a, factors: [{group: reviewer, count: 0}]}\n", 11, 50, "count is 0; expected at least 1"),
    (GOOD + "  - id: roc-auc\n    title: Twice\n    how_to_satisfy: x\n    satisfied_if: 'true'\n", 10, 9, "used twice"),
]


@pytest.mark.parametrize(("document", "line", "column", "message"), BROKEN)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(document: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DocumentError) as refused:
        compile_policy(document)
    mistakes = refused.value.mistakes
    assert any((m.line, m.column) == (line, column) and message in m.message for m in mistakes), [str(m) for m in mistakes]


def test_a_good_document_compiles_and_takes_parameters() -> None:
    policy = compile_policy(GOOD)
    assert policy.effective({}) == {"min_roc_auc": 0.7}
    assert policy.effective({"min_roc_auc": 0.9}) == {"min_roc_auc": 0.9}
    assert policy.wrong_parameters({"min_roc_auc": "high"}) == ["parameter min_roc_auc must be a number, not 'high'"]
    assert "there is no parameter other" in policy.wrong_parameters({"other": 1})[0]


def test_the_demo_policies_compile() -> None:
    folder = Path(__file__).parents[2] / "demo" / "policies"
    assert compile_policy((folder / "credit-production.yaml").read_text()).steps[0].factors == (Factor("reviewer", 2),)
    assert parse_binding((folder / "credit-binding.yaml").read_text()).stages == ("Production",)


def test_a_binding_without_targets_is_refused() -> None:
    with pytest.raises(DocumentError, match="lacks targets"):
        parse_binding("kind: Binding\nname: b\npolicy: p\n")
