"""From a model's files to the findings, the table and the bill of materials."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

from governance.checks import catalogue, execute, parameters
from governance.checks.bom import cyclonedx
from governance.checks.dependencies import Dependencies
from tests.governance.checks.conftest import subject
from tests.governance.checks.dependencies.asking import ADVISORY, REQUESTS_ADVISORY, SERIAL, run, saved_as


def test_a_model_as_mlflow_saves_it(saved: Any, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    folder = saved(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    outcome = run(subject(folder))
    by_name = {row["name"]: row for row in outcome.rows}
    assert by_name["mlflow"]["purl"] == f"pkg:pypi/mlflow@{metadata.version('mlflow')}"
    assert by_name["python"]["purl"] == f"pkg:conda/python@{platform.python_version()}"
    assert outcome.the("unpinned").location == "requirements.txt:2, conda.yaml:dependencies[2].pip[1]"
    assert "scikit-learn may be installed" in outcome.findings[0].message  # as conftest asks for it
    assert outcome["unpinned"] == 1.0 and outcome["components"] == len(outcome.rows) and len(outcome.findings) == 1

    version = metadata.version("scikit-learn")
    for name in ("requirements.txt", "conda.yaml"):
        (folder / name).write_text((folder / name).read_text().replace("scikit-learn", f"scikit-learn=={version}"))
    known = [("scikit-learn", "X-1", "high", f"<={version}", "Bad."), ("scikit-learn", "X-2", "high", f">{version}", "Worse.")]
    path = saved_as(pd.DataFrame(known, columns=ADVISORY), tmp_path / "known.csv")
    check = Dependencies(advisories="known", allowed_licences=("BSD-3-Clause",))
    outcome = run(replace(subject(folder), others={"known": path}), check)
    assert outcome.the("vulnerable").message.startswith(f"scikit-learn {version} has X-1")
    row = next(row for row in outcome.rows if row["name"] == "scikit-learn")
    assert (row["licence"], row["advisories"]) == ("BSD-3-Clause", "X-1")
    assert outcome["unpinned"] == 0.0 and outcome["licences_refused"] == 0.0 and outcome["vulnerable:high"] == 1.0
    assert {each.rule for each in outcome.findings} == {"vulnerable", "unknown-licence"}


def test_the_check_runs_where_checks_are_executed(model: Any, tmp_path: Path) -> None:
    path = saved_as(pd.DataFrame([REQUESTS_ADVISORY], columns=ADVISORY), tmp_path / "a.csv")
    spec = {
        "check": "dependencies",
        "parameters": {"advisories": "known", "allowed_licences": ["MIT"]},
        "model_dir": str(model("requests==2.30.0")),
        "dataset": None,
        "others": {"known": str(path)},
        "seed": 0,
    }
    result = execute.execute(spec, tmp_path)
    assert result["status"] == "completed"
    assert "vulnerable" in [each["rule"] for each in result["findings"]]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    document = cyclonedx(result["tables"][0]["rows"], subject_name="m", subject_version="1", serial=SERIAL)
    assert document["components"][0]["purl"] == "pkg:pypi/requests@2.30.0"


def test_the_parameters_are_described_and_converted() -> None:
    described = parameters.schema(Dependencies)
    assert described["required"] == []
    assert described["properties"]["advisories"]["dataset"] is True and described["properties"]["licences"]["dataset"] is True
    assert jsonschema.Draft202012Validator(described).is_valid({"advisories": "osv", "allowed_licences": ["MIT"]})
    assert catalogue.build("dependencies", {"allowed_licences": ["MIT"]}) == Dependencies(allowed_licences=("MIT",))
    with pytest.raises(ValueError, match="'allowed_licences': expected a list"):
        catalogue.build("dependencies", {"allowed_licences": "MIT"})


ROWS = [
    ("numpy", "1.26.4", "pkg:pypi/numpy@1.26.4", "BSD-3-Clause", "requirements.txt:1", ""),
    ("numpy", "", "pkg:conda/numpy", "", "conda.yaml:dependencies[1]", ""),
    ("foreign", "", "", "", "requirements.txt:2", ""),
    ("requests", "2.30.0", "pkg:pypi/requests@2.30.0", "Apache-2.0 OR LicenseRef-ours", "requirements.txt:3", "GHSA-j8r2"),
]
# What CycloneDX 1.6 (bom-1.6.schema.json) demands of the parts that are written here.
TEXT = {"type": "string", "minLength": 1}
COMPONENT = {
    "type": "object",
    "required": ["type", "name", "bom-ref"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["library", "machine-learning-model"]},
        "bom-ref": TEXT,
        "name": TEXT,
        "version": TEXT,
        "purl": {"type": "string", "pattern": "^pkg:(pypi|conda)/[^ ]+$"},
        "licenses": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,  # an expression stands alone
            "items": {
                "type": "object",
                "required": ["expression"],
                "additionalProperties": False,
                "properties": {"expression": TEXT},
            },
        },
        "properties": {"type": "array", "items": {"type": "object", "required": ["name", "value"]}},
    },
}
CYCLONEDX = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies", "compositions"],
    "additionalProperties": False,
    "properties": {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "version": {"type": "integer", "minimum": 1},
        "metadata": {"type": "object", "required": ["component"], "properties": {"component": COMPONENT}},
        "components": {"type": "array", "uniqueItems": True, "items": COMPONENT},
        "dependencies": {"type": "array", "uniqueItems": True, "items": {"type": "object", "required": ["ref"]}},
        "compositions": {
            "items": {"properties": {"aggregate": {"enum": ["complete", "incomplete", "unknown", "not_specified"]}}}
        },
    },
}


def test_the_table_becomes_a_cyclonedx_document() -> None:
    document = cyclonedx(ROWS, subject_name="credit-risk", subject_version="7", serial=SERIAL)
    jsonschema.Draft202012Validator(CYCLONEDX).validate(document)
    assert document["metadata"]["component"] == {
        "type": "machine-learning-model",
        "bom-ref": "model:credit-risk@7",
        "name": "credit-risk",
        "version": "7",
    }
    assert [each["bom-ref"] for each in document["components"]] == [
        "foreign@",
        "pkg:conda/numpy",
        "pkg:pypi/numpy@1.26.4",
        "pkg:pypi/requests@2.30.0",
    ]
    assert document["components"][0] == {
        "type": "library",
        "bom-ref": "foreign@",
        "name": "foreign",
        "properties": [{"name": "countersign:source", "value": "requirements.txt:2"}],
    }
    assert document["components"][3] == {
        "type": "library",
        "bom-ref": "pkg:pypi/requests@2.30.0",
        "name": "requests",
        "version": "2.30.0",
        "licenses": [{"expression": "Apache-2.0 OR LicenseRef-ours"}],
        "purl": "pkg:pypi/requests@2.30.0",
        "properties": [{"name": "countersign:source", "value": "requirements.txt:3"}],
    }
    assert document["dependencies"] == [
        {"ref": "model:credit-risk@7", "dependsOn": [each["bom-ref"] for each in document["components"]]}
    ]
    assert document["compositions"] == [{"aggregate": "incomplete", "dependencies": ["model:credit-risk@7"]}]


def test_equal_input_gives_equal_bytes_in_any_order() -> None:
    named = {"subject_name": "m", "subject_version": "1", "serial": SERIAL}
    first = json.dumps(cyclonedx(ROWS, **named))
    assert json.dumps(cyclonedx([list(row) for row in reversed(ROWS)], **named)) == first
    assert json.dumps(cyclonedx(ROWS[1:], **named)) != first
    assert cyclonedx([], **named)["components"] == []


def test_references_are_unique_whatever_a_model_asks_for(model: Any) -> None:
    text = "a==1\na==2\na\na>=3\na @ https://example.org/a\na===1x\na==1+cpu\nb @ https://example.org/b\n"
    outcome = run(
        model(text, conda__yaml="dependencies: [a==1, a=1, conda-forge::a==1, {pip: [a==1, 'a @ https://example.org/z']}]")
    )
    document = cyclonedx(outcome.table.rows, subject_name="a", subject_version="1", serial=SERIAL)
    jsonschema.Draft202012Validator(CYCLONEDX).validate(document)
    references = [each["bom-ref"] for each in [document["metadata"]["component"], *document["components"]]]
    assert len(set(references)) == len(references) == len(outcome.rows) + 1
