"""Checks are found by walking, and parameters are refused with a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from governance.checks import catalogue
from governance.checks.fairness import Fairness
from governance.checks.groups import Feature
from governance.checks.performance import Performance

ROOT = Path(__file__).resolve().parents[3]
NAMES = [
    "artifact-scan", "dependencies", "drift", "explainability", "fairness", "model-card", "performance", "reproducibility", "robustness",
    "signature-schema", "text-generation",
]  # fmt: skip


def test_the_names_in_policies_stay() -> None:
    assert list(catalogue.available()) == NAMES


def test_the_catalogue_is_read_without_the_validation_libraries_or_django() -> None:
    code = (
        "import sys; from governance.checks import catalogue, execute; catalogue.available();"
        "print([m for m in ('numpy','pandas','mlflow','scipy','sklearn','skops','pyarrow','picklescan','django','celery') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_process_that_measures_imports_its_own_check_alone() -> None:
    code = (
        "import sys; from governance.checks import catalogue; print(catalogue.build('signature-schema', {}).name,"
        "[m for m in ('drift','performance','artifact_scan','text_generation') if f'governance.checks.{m}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "signature-schema []"


@pytest.mark.parametrize("name", ["model", "statistics", "..", "base", ""])
def test_a_module_that_holds_no_check_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="Unknown check"):
        catalogue.build(name, {})


def test_a_name_used_twice_is_refused() -> None:
    class Impostor:
        name: ClassVar[str] = "performance"

    with pytest.raises(catalogue.DuplicateCheck, match=r"'performance' is used by .*Performance and by .*Impostor"):
        catalogue.collect([Performance, Impostor])  # type: ignore[list-item]


def test_parameters_become_fields() -> None:
    check = catalogue.build("fairness", {"sensitive": ["sex", {"column": "age", "edges": [25, 40]}], "threshold": 1})
    assert check == Fairness(("sex", Feature("age", "", (25.0, 40.0))), 1.0)


@pytest.mark.parametrize(
    "name, given, sentence",
    [
        ("performence", {}, "Unknown check 'performence'; available are artifact-scan"),
        ("performance", {"treshold": 0.5}, "Check 'performance': unknown parameter 'treshold'; known are cutoffs, query"),
        ("performance", {"threshold": "high"}, "'threshold': expected a number, got 'high'"),
        ("performance", {"threshold": True}, "'threshold': expected a number, got True"),
        ("performance", {"threshold": float("nan")}, "'threshold': expected a number, got nan"),
        ("performance", {"threshold": 1.5}, "'threshold': expected a maximum of 1, got 1.5"),
        ("performance", {"task": "forecast"}, "'task': expected one of 'binary', .*'ranking', got 'forecast'"),
        ("performance", {"task": "ranking"}, "'query' must name a column"),
        ("performance", {"cutoffs": [10, 0]}, r"'cutoffs' must be whole numbers from 1, got \[10, 0\]"),
        ("performance", {"slices": "sex"}, "'slices': expected a list"),
        ("performance", {"slices": [3]}, r"'slices\[0\]': expected text or a mapping with column, name, edges, got 3"),
        ("performance", {"slices": [{"col": "x"}]}, r"unknown parameter 'slices\[0\].col'; known are column"),
        ("fairness", {}, "parameter 'sensitive' is required"),
        ("fairness", {"sensitive": [{"column": "age", "edges": [40, 25]}]}, "edges of 'age' must rise"),
        ("explainability", {"repeats": 2.5}, "'repeats': expected a whole number, got 2.5"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_was_expected(name: str, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        catalogue.build(name, given)


def test_the_schema_agrees_with_the_builder() -> None:
    for name, check in catalogue.available().items():
        schema = catalogue.parameters_schema(check)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["title"] == name and schema["additionalProperties"] is False
    validator = jsonschema.Draft202012Validator(catalogue.parameters_schema(Fairness))
    assert validator.is_valid({"sensitive": ["sex", {"column": "age", "edges": [25]}]})
    for wrong in ({}, {"sensitive": []}, {"sensitive": ["sex"], "other": 1}, {"sensitive": ["sex"], "threshold": 2}):
        assert not validator.is_valid(wrong)


def test_every_mistake_is_told_with_its_place() -> None:
    given = {"slices": ["sex", {"column": "age", "edges": ["young"]}], "threshold": 2, "treshold": 1}
    assert [each.path for each in catalogue.mistakes("performance", given)] == [
        (("key", "treshold"),),
        ("threshold",),
        ("slices", 1, "edges", 0),
    ]
    assert [each.path for each in catalogue.mistakes("fairness", {})] == [()]
    assert catalogue.mistakes("fairness", {}, frozenset({"sensitive"})) == []
    assert [each.path for each in catalogue.mistakes("performance", {"task": "ranking"})] == [()]
    assert catalogue.mistakes("performance", {"task": "ranking"}, frozenset({"query"})) == []


def test_a_check_of_this_project_names_no_package() -> None:
    assert {catalogue.package(name) for name in NAMES} == {""}
