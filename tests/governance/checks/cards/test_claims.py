"""What a card says of numbers is found as a reader would find it, and what says no value is left alone."""

from __future__ import annotations

import math

import pytest

from governance.checks.base import SiblingMeasurement
from governance.checks.cards import agreement, claims, names, numbers
from governance.checks.cards.agreement import Held, Tolerance
from governance.checks.cards.claimed import Vocabulary

MEASURED = [
    SiblingMeasurement("performance", "p", "roc_auc", "", 0.7863, 0.74, 0.83),
    SiblingMeasurement("performance", "p", "accuracy", "", 0.7533),
    SiblingMeasurement("performance", "p", "accuracy", "sex=female", 0.70),
    SiblingMeasurement("performance", "p", "accuracy", "sex=male", 0.78),
    SiblingMeasurement("performance", "p", "accuracy", "age_group=25 to 40", 0.66),
    SiblingMeasurement("performance", "p", "f1", "", 0.83),
    SiblingMeasurement("performance", "p", "recall", "", 0.904),
    SiblingMeasurement("performance", "p", "rmse", "", 3187.4),
    SiblingMeasurement("fairness", "f", "demographic_parity_ratio", "sex", 0.8312),
    SiblingMeasurement("fairness", "f", "demographic_parity_ratio", "age_group", 0.91),
    SiblingMeasurement("fairness", "f", "selection_rate", "sex=female", 0.61),
    SiblingMeasurement("fairness", "f", "false_positive_rate", "sex=female", 0.31),
    SiblingMeasurement("fairness", "f", "impact_ratio", "sex=female&age_group=25 to 40", 0.77),
    SiblingMeasurement("drift", "d", "drift.worst_psi", "", 0.041),
    SiblingMeasurement("brought-along", "b", "cost.per_case", "", 12.5),
]
VOCABULARY = Vocabulary(
    names.metric_names({each.metric for each in MEASURED}), names.slice_names({each.slice for each in MEASURED})
)


def held(text: str, tolerance: Tolerance = Tolerance()) -> list[Held]:  # noqa: B008  # it is frozen
    return [agreement.hold(claim, MEASURED, tolerance) for claim in claims.read("metrics", text, VOCABULARY)]


def told(text: str) -> list[tuple[str, str, float, bool | None]]:
    return [
        (
            each.source.metric if each.source else each.claim.name.metrics[0],
            each.source.slice if each.source else "-",
            round(each.claim.number.value, 6),
            each.agrees,
        )
        for each in held(text)
    ]


@pytest.mark.parametrize(
    ("text", "metric", "slice_", "value", "agrees"),
    [
        ("It has an ROC AUC of 0.79.", "roc_auc", "", 0.79, True),
        ("AUC = 79 %", "roc_auc", "", 0.79, True),
        ("AUROC: 0,79", "roc_auc", "", 0.79, True),
        ("ROC-AUC (0.91)", "roc_auc", "", 0.91, False),
        ("The area under the ROC curve (AUC) on the validation set is about 0.79 (95 % CI 0.74 to 0.83).", "roc_auc", "", 0.79, True),
        ("accuracy: 0.75 ± 0.02", "accuracy", "", 0.75, True),
        ("accuracy: 0.71 ± 0.02", "accuracy", "", 0.71, False),
        ("An accuracy of 75 percent", "accuracy", "", 0.75, True),
        ("It reaches 76 % accuracy.", "accuracy", "", 0.76, False),
        ("The accuracy of the scorecard on held-out cases is 0.7533", "accuracy", "", 0.7533, True),
        ("The accuracy is 0.7534", "accuracy", "", 0.7534, False),
        ("An error rate of 25 %", "accuracy", "", 0.25, True),
        ("Accuracy lies between 0.74 and 0.76.", "accuracy", "", 0.75, True),
        ("An accuracy between 80 % and 90 %.", "accuracy", "", 0.85, False),
        ("Accuracy is 0.74 to 0.76.", "accuracy", "", 0.75, True),
        ("Accuracy is 0.76-0.80.", "accuracy", "", 0.78, False),
        ("Accuracy is at least 0.7.", "accuracy", "", 0.7, True),
        ("Accuracy exceeds 0.8.", "accuracy", "", 0.8, False),
        ("A Gini coefficient of 57 % was reached.", "roc_auc", "", 0.57, True),
        ("**F1-score**: `0.83`", "f1", "", 0.83, True),
        ("Demographic parity ratio for sex is 0.83", "demographic_parity_ratio", "sex", 0.83, True),
        ("Demographic parity ratio for sex is 0.93", "demographic_parity_ratio", "sex", 0.93, False),
        ("The ratio of selection rates between women and men is 0.83.", "demographic_parity_ratio", "sex", 0.83, True),
        ("The demographic parity ratio is 0.91.", "demographic_parity_ratio", "age_group", 0.91, True),
        ("The demographic parity ratio is 0.97.", "demographic_parity_ratio", "age_group", 0.97, False),
        ("Among women, accuracy is 0.70.", "accuracy", "sex=female", 0.7, True),
        ("Accuracy for sex=male is 0.70.", "accuracy", "sex=male", 0.7, False),
        ("Accuracy in the age group 25 to 40 is 0.66.", "accuracy", "age_group=25 to 40", 0.66, True),
        ("Specificity for women is 0.69.", "false_positive_rate", "sex=female", 0.69, True),
        ("The impact ratio of women aged 25 to 40 is 0.77.", "impact_ratio", "sex=female&age_group=25 to 40", 0.77, True),
        ("RMSE is 3,200 EUR.", "rmse", "", 3200.0, True),
        ("RMSE is 3,400 EUR.", "rmse", "", 3400.0, False),
        ("The worst PSI was 0.04 (drift.worst_psi).", "drift.worst_psi", "", 0.04, True),
        ("cost.per_case is 12.5", "cost.per_case", "", 12.5, True),
        ("The cost per case is 14.", "cost.per_case", "", 14.0, False),
        ("Recall at a threshold of 0.5 is 0.9.", "recall", "", 0.9, True),
    ],
)  # fmt: skip
def test_a_claim_is_found_and_held_against_what_was_measured(
    text: str, metric: str, slice_: str, value: float, agrees: bool
) -> None:
    assert told(text) == [(metric, slice_, value, agrees)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("On the training data, ROC AUC is 0.91.", "something else than what was measured (training)"),
        ("ROC AUC of 0.91 in five-fold cross-validation.", "something else"),
        ("Version 2 had an accuracy of 0.6.", "something else than what was measured (version 2)"),
        ("Accuracy for applicants from Bavaria is 0.9.", "nothing was measured by what it names (from Bavaria)"),
        ("A selection rate of 0.5.", "measured by group only"),
        ("The precision is 0.8.", "no check of the policy measured it"),
        ("The RMSE is 5 %.", "the measurement is not a share"),
        ("ROC AUC for women is 0.91", "it was not measured for what the claim names"),
    ],
)
def test_what_cannot_be_compared_says_why_and_is_no_contradiction(text: str, reason: str) -> None:
    (only,) = held(text)
    assert only.agrees is None and reason in only.reason


@pytest.mark.parametrize(
    "text",
    [
        "ROC AUC must stay above 0.8.",
        "The target for accuracy is 0.9.",
        "A re-review is due when ROC AUC falls below 0.7.",
        "If income is missing, the accuracy is 0.5.",
        "We measured the accuracy on 300 cases.",
        "ROC AUC was computed with 1000 resamples.",
        "Accuracy improved from 0.70 to 0.75.",
        "Selection rates by group and ROC AUC are measured monthly; a ratio below 0.8 calls for review.",
        "Recall and precision, version 1.2.3 of 2024-03-01, see section 4.",
        "Precision matters more than recall in 3 of 4 uses.",
        "| Metric | Limit |\n|---|---|\n| ROC AUC | 0.99 |",
        "| Metric | 95 % CI |\n|---|---|\n| ROC AUC | 0.95 |",
    ],
)
def test_a_goal_a_condition_and_a_count_are_no_claims(text: str) -> None:
    assert told(text) == []


def test_several_numbers_of_a_sentence_go_each_to_their_own() -> None:
    assert told("Accuracy is 0.70 for women and 0.78 for men.") == [
        ("accuracy", "sex=female", 0.7, True), ("accuracy", "sex=male", 0.78, True),
    ]  # fmt: skip
    assert told("Parity ratios: sex 0.83, age group 0.95.") == [
        ("demographic_parity_ratio", "sex", 0.83, True), ("demographic_parity_ratio", "age_group", 0.95, False),
    ]  # fmt: skip
    assert told("75 % accuracy and an F1 of 0.91") == [("accuracy", "", 0.75, True), ("f1", "", 0.91, False)]
    assert told("ROC AUC 0.79, accuracy 0.75, F1 0.83") == [
        ("roc_auc", "", 0.79, True), ("accuracy", "", 0.75, True), ("f1", "", 0.83, True),
    ]  # fmt: skip
    assert told("ROC AUC is 0.95, against 0.77 of the champion.") == [("roc_auc", "", 0.95, False)]
    on_training = held("ROC AUC of 0.95 and accuracy of 0.9 on the training data")
    assert [each.agrees for each in on_training] == [None, None]


def test_tables_name_metrics_in_rows_or_in_columns() -> None:
    rows = (
        "| Metric | Value | Training | 95 % CI |\n|:--|--:|--|--|\n| ROC AUC | 0.79 | 0.95 | 0.74-0.83 |\n| F1 (%) | 91 | | |\n"
    )
    assert told(rows) == [("roc_auc", "", 0.79, True), ("roc_auc", "-", 0.95, None), ("f1", "", 0.91, False)]
    columns = "Group | Accuracy | n\n--- | --- | ---\nwomen | 0.70 | 100\nmen | 0.99 | 200\n"
    assert told(columns) == [("accuracy", "sex=female", 0.7, True), ("accuracy", "sex=male", 0.99, False)]
    long = "| # | Metric | Group | Value | Passed |\n|-|-|-|-|-|\n| 1 | Accuracy | male | 0.78 (0.7-0.8) | no |\n| 2 | Accuracy | all | 0.75 | yes |\n"
    assert told(long) == [("accuracy", "sex=male", 0.78, True), ("accuracy", "", 0.75, True)]


def test_a_number_agrees_by_rounding_by_the_interval_or_within_the_tolerance() -> None:
    assert [each.agrees for each in held("ROC AUC is 0.75.")] == [True]  # within 0.74 to 0.83
    assert [each.agrees for each in held("ROC AUC is 0.75.", Tolerance(interval=False))] == [False]
    assert [each.agrees for each in held("Accuracy is 0.76.", Tolerance(absolute=0.007))] == [True]
    assert [each.agrees for each in held("Accuracy is 0.76.", Tolerance(absolute=0.006))] == [False]
    assert [each.agrees for each in held("Accuracy is 0.76.", Tolerance(relative=0.01))] == [True]


@pytest.mark.parametrize(
    ("text", "low", "high", "half"),
    [
        ("0.79", 0.79, 0.79, 0.005),
        ("0.790", 0.79, 0.79, 0.0005),
        (".8", 0.8, 0.8, 0.05),
        ("0,79", 0.79, 0.79, 0.005),
        ("1,250", 1250.0, 1250.0, 5.0),
        ("3200", 3200.0, 3200.0, 50.0),
        ("80 %", 80.0, 80.0, 0.5),
        ("12,5", 12.5, 12.5, 0.05),
        ("1,234,567.5", 1234567.5, 1234567.5, 0.05),
        ("5e-3", 0.005, 0.005, 0.0005),
        ("-0.25", -0.25, -0.25, 0.005),
        ("0.7 to 0.8", 0.7, 0.8, 0.05),
        ("between 0.70 and 0.8", 0.7, 0.8, 0.05),
        ("0.72-0.78", 0.72, 0.78, 0.005),
        ("0.75 +/- 0.02", 0.73, 0.77, 0.005),
        ("0", 0.0, 0.0, 0.5),
    ],
)
def test_a_number_knows_its_last_digit(text: str, low: float, high: float, half: float) -> None:
    (only,) = numbers.find(numbers.ranges_joined(f"It is {text}."))
    assert math.isclose(only.low, low) and math.isclose(only.high, high) and math.isclose(only.half, half)


def test_parts_of_names_dates_versions_and_paths_are_no_numbers() -> None:
    assert not list(numbers.find("F1 v2 1.2.3 2024-03-01 10-fold 3x 4th a/5/b 12/2024"))


def test_a_word_that_several_features_have_as_a_group_names_none() -> None:
    lexicon = names.slice_names(["telephone=absent", "guarantor=absent", "sex=female", "housing=own", "class=1"])
    assert [each.meaning for each in lexicon.find("absent, own, 1 and females")] == [("sex", "female")]
    assert [each.meaning for each in lexicon.find("guarantor absent, housing: own, class 1")] == [
        ("guarantor", "absent"), ("housing", None), ("class", "1"),
    ]  # fmt: skip
