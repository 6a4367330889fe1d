"""What of a version's evidence is about the champion of the time, and so says nothing about whether it is the version approved before."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.rules.snapshot import Change, of_comparison


@pytest.mark.parametrize(
    ("path", "before", "after", "compares"),
    [
        ("champion", [1, "a"], [2, "b"], True),
        ("champion.measurements.roc_auc", [0.7], [0.8], True),
        ("measurements.roc_auc.difference", None, [0.02], True),
        ("measurements.accuracy.difference[sex=female]", [0.1], None, True),
        ("apart.credit.measurements.brier.difference", [0.1], [0.2], True),
        ("measurements.explainability.ranking_shift", None, [0.3], True),
        ("checks.performance", ["passed", "sha256:1"], ["passed", "sha256:2"], True),
        ("findings.fairness/champion-not-measured/model", None, ["info", "x"], True),
        ("checks.performance", ["passed", "sha256:1"], ["failed", "sha256:1"], False),
        ("checks.performance", None, ["passed", "sha256:1"], False),
        ("measurements.roc_auc", [0.7], [0.8], False),
        ("measurements.demographic_parity_difference[sex]", [0.1], [0.2], False),
        ("card.limitations", "a", "b", False),
        ("content", "a", "b", False),
    ],
)
def test_only_the_comparison_is_told_apart(path: str, before: Any, after: Any, compares: bool) -> None:
    assert of_comparison(Change(path, "changed", before, after, True)) is compares
