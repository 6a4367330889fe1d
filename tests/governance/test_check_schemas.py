"""What editors are told of checks agrees with what is published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from governance.check_schemas import policy_schema
from governance.checks import catalogue

ROOT = Path(__file__).parents[2]
VALID = jsonschema.Draft202012Validator(policy_schema())


def asked(check: str, **fields: Any) -> dict[str, Any]:
    requirement = {"id": "a", "title": "A", "satisfied_if": "true", "how_to_satisfy": "a"}
    return {"kind": "Policy", "name": "p", "checks": [{"check": check, **fields}], "requirements": [requirement]}


def policies() -> list[dict[str, Any]]:
    texts = [path.read_text() for place in ("demo", "governance", "docs") for path in (ROOT / place).rglob("*.yaml")]
    texts += re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "policies.md").read_text(), re.DOTALL)
    documents = [document for text in texts for document in yaml.safe_load_all(text) if isinstance(document, dict)]
    return [document for document in documents if document.get("kind") == "Policy" and "requirements" in document]


def test_the_schema_is_one_and_every_policy_of_the_project_fits_it() -> None:
    jsonschema.Draft202012Validator.check_schema(policy_schema())
    assert len(policies()) > 3
    for document in policies():
        assert [error.message for error in VALID.iter_errors(document)] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "validation"},
        {"dataset": "validation", "with": {}},
        {"with": {"sensitive": ["sex"]}},
        {"dataset": "validation", "with": {"sensitive": "sex"}},
        {"dataset": "validation", "with": {"sensitive": ["sex"], "threshold": 2}},
        {"dataset": "validation", "with": {"sensitive": ["sex"], "other": 1}},
        {"dataset": "validation", "with": {"sensitive": ["sex"], "threshold": "about ${x}"}},
    ],
)
def test_what_a_check_does_not_take_is_refused(fields: dict[str, Any]) -> None:
    assert not VALID.is_valid(asked("fairness", **fields))


def test_a_reported_check_is_said_elsewhere() -> None:
    assert VALID.is_valid(asked("load-test", source="reported"))
    assert VALID.is_valid(asked("fairness", source="reported", **{"with": {"anything": 1}}))
    assert not VALID.is_valid(asked("load-test", source="worker")) and not VALID.is_valid(asked("Load test", source="reported"))


def test_what_a_check_takes_fits_also_as_a_parameter_of_the_policy() -> None:
    taken = {"sensitive": ["sex", {"column": "age", "edges": [25, "${old}"]}, "${other}"], "threshold": "${from_score}"}
    assert VALID.is_valid(asked("fairness", dataset="${data}", **{"with": taken}))
    assert VALID.is_valid(asked("fairness", dataset="d", **{"with": {"sensitive": "${all}"}}))
    assert VALID.is_valid(asked("artifact-scan")) and not VALID.is_valid(asked("artefact-scan"))
    told = policy_schema()["properties"]["checks"]["items"]["else"]["properties"]["check"]["oneOf"]
    assert [each["const"] for each in told] == list(catalogue.available()) and all(each["description"] for each in told)
