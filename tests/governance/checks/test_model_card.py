"""A card with sections and numbers, from the spec to measurements, findings and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from governance.checks import catalogue
from governance.checks.base import Finding, Measurement, SiblingMeasurement, Table
from governance.checks.execute import execute
from governance.checks.model_card import ModelCard
from governance.checks.subject import Subject

RUN = "0b8e"
CARD = {
    "intended_use": "Support a credit officer in retail lending decisions up to 20,000. Never the only basis of a refusal.",
    "out_of_scope": "Business loans, mortgages, and any decision on people that no officer looks at before it is told.",
    "factors": "Sex and age group are compared, since the law forbids to treat applicants differently by them.",
    "metrics": "On the evaluation data the ROC AUC is 0.79. The demographic parity ratio for sex is 0.83, for age group 0.91.",
    "evaluation_data": "300 cases of Statlog German Credit that the makers of the model did not see, drawn by lot once.",
    "training_data": "Statlog German Credit (Hofmann 1994), 700 of 1,000 cases; protected attributes were left out.",
    "ethical_considerations": "A wrong refusal costs a person more than a wrong loan costs the bank, so officers hear them out.",
    "caveats_and_recommendations": "Cases from one bank in the early 1990s; amounts in Deutsche Mark; no income, no bureau data.",
}
MEASURED = (
    SiblingMeasurement("performance", RUN, "roc_auc", "", 0.7863, 0.74, 0.83),
    SiblingMeasurement("fairness", RUN, "demographic_parity_ratio", "sex", 0.8312),
    SiblingMeasurement("fairness", RUN, "demographic_parity_ratio", "age_group", 0.9107),
)


class Outcome:
    """What one run gave."""

    def __init__(self, card: dict[str, str], check: ModelCard, **subject: Any) -> None:
        self.results = list(check.run(Subject(card=card, measured=subject.pop("measured", MEASURED), **subject)))
        self.findings = [each for each in self.results if isinstance(each, Finding)]
        self.tables = {each.name: each for each in self.results if isinstance(each, Table)}
        self.values = {(each.metric, each.slice): each.value for each in self.results if isinstance(each, Measurement)}

    def __getitem__(self, metric: str) -> float | None:
        return self.values[f"card.{metric}", ""]


def run(card: dict[str, str], check: ModelCard = ModelCard(), **subject: Any) -> Outcome:  # noqa: B008  # it is frozen
    return Outcome(card, check, **subject)


def test_a_card_that_says_what_was_measured_is_without_findings() -> None:
    found = run(CARD)
    assert found.findings == []
    assert (found["sections_filled"], found["missing_sections"], found["thin_sections"], found["boilerplate"]) == (
        1.0,
        0.0,
        0.0,
        0.0,
    )
    assert [found[f"claims{kind}"] for kind in ("", "_agreeing", "_contradicted", "_unmatched")] == [3.0, 3.0, 0.0, 0.0]
    assert found["words"] == sum(
        value or 0 for (metric, slice_), value in found.values.items() if metric == "card.words" and slice_
    )
    table = found.tables["card_claims"]
    assert table.columns[:7] == ("section", "claim", "metric", "slice", "claimed", "measured", "agrees")
    assert [row[2:7] for row in table.rows] == [
        ("roc_auc", "", 0.79, 0.7863, "yes"),
        ("demographic_parity_ratio", "sex", 0.83, 0.8312, "yes"),
        ("demographic_parity_ratio", "age_group", 0.91, 0.9107, "yes"),
    ]
    assert [row[0] for row in found.tables["card_sections"].rows] == sorted(CARD)


def test_a_contradicted_number_is_grave_and_names_section_claim_value_and_run() -> None:
    found = run({**CARD, "metrics": "The model has a ROC AUC of 0.91 on the evaluation data, and a precision of 0.8 besides."})
    grave, info = found.findings
    assert (grave.rule, grave.severity, grave.location) == ("contradicted-number", "high", "card.metrics: roc_auc")
    for words in (
        "metrics says 0.91",
        "ROC AUC of 0.91 on the evaluation data",
        "performance measured 0.7863",
        "0.74 to 0.83",
        RUN,
    ):
        assert words in grave.message
    assert (info.rule, info.severity, info.location) == ("unmatched-claim", "info", "card.metrics: precision")
    assert [found[f"claims_{kind}"] for kind in ("agreeing", "contradicted", "unmatched")] == [0.0, 1.0, 1.0]


def test_sections_that_are_missing_thin_or_a_template_are_told_apart() -> None:
    card = {**CARD, "factors": "Sex.", "evaluation_data": "TODO", "training_data": CARD["intended_use"], "contact": "TBD: who?"}
    del card["out_of_scope"]
    found = run(card)
    assert sorted((each.rule, each.severity, each.location) for each in found.findings) == [
        ("boilerplate", "low", "card.contact"),
        ("boilerplate", "low", "card.evaluation_data"),
        ("boilerplate", "low", "card.training_data"),
        ("missing-section", "medium", "card.evaluation_data"),
        ("missing-section", "medium", "card.out_of_scope"),
        ("thin-section", "medium", "card.factors"),
        ("thin-section", "medium", "card.training_data"),
    ]
    assert (found["sections_filled"], found["missing_sections"], found["thin_sections"], found["boilerplate"]) == (
        0.5,
        2.0,
        2.0,
        3.0,
    )


def test_without_a_card_every_section_is_missing_and_without_measurements_nothing_is_compared() -> None:
    found = run({})
    assert (found["sections_filled"], found["missing_sections"], found["claims"], found["words"]) == (0.0, 8.0, 0.0, 0.0)
    alone = run(CARD, measured=())
    assert (alone["claims"], alone["claims_unmatched"], alone["claims_contradicted"]) == (2.0, 2.0, 0.0)
    assert {each.rule for each in alone.findings} == {"unmatched-claim"}


def test_a_policy_says_which_sections_how_long_and_how_near() -> None:
    check = catalogue.build(
        "model-card",
        {"required": ["limitations", {"name": "monitoring_plan", "words": 3}], "least_words": 30, "absolute_tolerance": 0.2},
    )
    assert isinstance(check, ModelCard)
    found = run({**CARD, "monitoring_plan": "Monthly, by ROC AUC.", "metrics": "The ROC AUC is 0.95."}, check)
    assert [each.location for each in found.findings] == ["card.caveats_and_recommendations"]
    assert "limitations (here caveats_and_recommendations)" in found.findings[0].message
    assert (found["sections_filled"], found["claims_agreeing"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"required": []}, "must name sections"),
        ({"required": ["metrics", "Metrics"]}, "each of them once"),
        ({"required": [{"name": "metrics", "words": 0}]}, "at least one word"),
        ({"boilerplate": [" "]}, "must not hold empty texts"),
        ({"relative_tolerance": 2}, "maximum of 1"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        catalogue.build("model-card", given)


def test_the_card_and_the_measurements_come_with_the_spec(tmp_path: Path) -> None:
    row = {"check": "performance", "run": RUN, "metric": "roc_auc", "slice": "", "value": 0.5, "ci_low": None, "ci_high": None}
    spec = {"check": "model-card", "card": CARD, "earlier_card": CARD, "measured": [row]}
    document = execute(spec, tmp_path)
    assert document["status"] == "completed", document["error"]
    values = {each["metric"]: each["value"] for each in document["measurements"] if not each["slice"]}
    assert (values["card.claims"], values["card.claims_contradicted"]) == (2.0, 1.0)
    (sections,) = [each for each in document["tables"] if each["name"] == "card_sections"]
    assert {row[-1] for row in sections["rows"]} == {1.0}
    assert catalogue.needs_model("model-card") is False and catalogue.asks_model("model-card") is False
