"""A check in a package of its own, installed beside the project, is listed, described, validated and carried out as those it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import mlflow
import pandas as pd
import pytest
import requests
import yaml
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from scripts.stack import ROOT, Stack
from tests.live import serving, tokens
from workflows.runner import sandbox

UV = ROOT / ".venv-uv" / "bin" / "uv"
PACKAGE = ROOT / "tests" / "plugins" / "acme-checks"
NAME = "acme-approval-shift"
pytestmark = [pytest.mark.timeout(200), pytest.mark.skipif(not UV.exists(), reason="uv was not set up")]

POLICY = """\
kind: Policy
name: acme
parameters:
  approved_from: {{type: number}}
checks:
  - check: acme-approval-shift
    dataset: validation
    with:
      reference: training
      threshold: {threshold}
requirements:
  - {{id: steady, title: Approvals did not move, how_to_satisfy: Train it anew., satisfied_if: '"acme.approval_shift" in measurements'}}
"""
MEASURE = """\
import json, sys
from pathlib import Path
from workflows.runner import sandbox
from workflows.runner.environments import Environment

given = json.loads(sys.argv[1])
outcome = sandbox.run(
    {"check": given["check"], "parameters": given["parameters"], "dataset": {"target": "y"}, "seed": 0},
    model_dir=Path(given["model"]),
    dataset_path=Path(given["rows"]),
    others={"training": Path(given["reference"])},
    limits=sandbox.Limits(),
    isolation=sandbox.Isolation(given["isolation"]),
    heartbeat=lambda _: True,
    answering=Environment(Path(sys.executable), None, ""),
)
numbers = {f"{each.metric}[{each.slice}]": each.value for each in outcome.measurements}
tables = {each.name: each.rows for each in outcome.tables}
print(json.dumps({"status": outcome.status, "error": outcome.error_message, "numbers": numbers, "tables": tables}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed into, as from a wheel, without an index. A file that is nobody's lies beside it."""
    folder = tmp_path_factory.mktemp("plugins")
    command = [str(UV), "pip", "install", "--no-config", "--no-index", "--no-deps", "--quiet", "--python", sys.executable]
    done = subprocess.run([*command, "--target", str(folder), str(PACKAGE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "nobodys.py").write_text("")
    return folder


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, dict[str, str]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        with serving(tmp_path_factory.mktemp("server")) as stack:
            yield stack, tokens(stack, {"pat": "platform-admin"})


_PASSWORD = "a long enough password"
_GIVE_A_PASSWORD = f"""
import django; django.setup()
from core.models import User
user = User.objects.get(username="pat"); user.set_password({_PASSWORD!r}); user.save()
"""


def call(server: tuple[Stack, dict[str, str]], method: str, path: str, **body: Any) -> Any:
    stack, secrets = server
    headers = {"Authorization": f"Bearer {secrets['pat']}"}
    return requests.request(method, f"{stack.url}/api/v1/{path}", json=body or None, headers=headers, timeout=30)


def test_it_is_listed_with_what_it_takes(server: tuple[Stack, dict[str, str]]) -> None:
    (listed,) = (each for each in call(server, "GET", "checks/").json() if each["name"] == NAME)
    assert (listed["revision"], listed["package"]) == ("3", "acme-checks 1.2.0")
    assert (listed["needs_model"], listed["needs_dataset"], listed["compares"]) == (True, True, False)
    takes = listed["parameters"]
    assert takes["required"] == ["reference"] and takes["additionalProperties"] is False
    assert takes["properties"]["threshold"] == {
        "type": "number", "default": 0.5, "minimum": 0, "maximum": 1, "description": "Score from which a row is approved.",
    }  # fmt: skip
    assert takes["properties"]["direction"]["enum"] == ["signed", "size"]
    assert takes["properties"]["columns"]["items"] == {"type": "string"}
    own = {each["package"] for each in call(server, "GET", "checks/").json() if each["name"] != NAME}
    assert own == {""}


def test_it_stands_on_the_page_of_checks(server: tuple[Stack, dict[str, str]]) -> None:
    stack, _ = server
    assert stack.run(["python", "-c", _GIVE_A_PASSWORD]).returncode == 0
    with requests.Session() as browser:
        form = browser.get(f"{stack.url}/sign-in", timeout=30).text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert token is not None
        given = {"csrfmiddlewaretoken": token[1], "username": "pat", "password": _PASSWORD}
        browser.post(f"{stack.url}/sign-in", data=given, timeout=30)
        page = browser.get(f"{stack.url}/checks/", timeout=30).text
        assert 'href="/checks/"' in browser.get(f"{stack.url}/policies/", timeout=30).text
    section = page.split(f'id="{NAME}"')[1].split("</section>")[0]
    for said in ("acme-checks 1.2.0", "name of a data set", "must be given", "0 to 1", "one of signed, size", "list, each text"):
        assert said in section, said
    assert "Measure by how much the share of approvals differs" in section
    assert page.count("<dd>Countersign</dd>") == page.count("<dt>Comes with</dt>") - 1 > 5


def test_editors_complete_it_and_a_wrong_parameter_is_told_at_its_place(server: tuple[Stack, dict[str, str]]) -> None:
    editors = jsonschema.Draft202012Validator(call(server, "GET", "policy-schema.json").json())

    def both(document: str) -> list[tuple[int, int]]:
        """Return where publishing finds mistakes; what the schema says must agree."""
        answer = call(server, "POST", "policies/", document=document)
        told = answer.json().get("errors", [])
        places = [(each["line"], each["column"]) for each in told]
        assert (answer.status_code == 201) == (not places) == editors.is_valid(yaml.safe_load(document)), answer.text
        return places

    assert both(POLICY.format(threshold="0.4")) == []
    assert both(POLICY.format(threshold="${approved_from}")) == []
    assert both(POLICY.format(threshold="1.4")) == [(10, 18)]
    assert both(POLICY.format(threshold="high")) == [(10, 18)]
    assert both(POLICY.format(threshold="0.4\n      treshold: 0.4\n      columns: [sex, 3]")) == [(11, 7), (12, 22)]
    assert both(POLICY.format(threshold="0.4").replace("      reference: training\n", "")) == [(9, 7)]
    assert both(POLICY.format(threshold="0.4").replace("    dataset: validation\n", "")) == [(6, 12)]
    built_in = POLICY.format(threshold="0.4").replace(NAME, "performance").replace("reference: training", "slices: [{column: 3}]")
    assert both(built_in) == [(9, 25)]


@pytest.mark.parametrize(
    "isolation",
    [
        pytest.param("bubblewrap", marks=pytest.mark.skipif(not sandbox.detect().available, reason=sandbox.detect().reason)),
        "process",
    ],
)
def test_it_measures_a_real_model_in_the_sandbox(installed: Path, tmp_path: Path, isolation: str) -> None:
    rows = pd.DataFrame({"x": range(40), "group": ["a", "b"] * 20, "y": [0, 1] * 10 + [1] * 20})
    model = LogisticRegression().fit(rows[["x"]], rows["y"])
    signature = infer_signature(rows[["x"]], model.predict(rows[["x"]]))
    mlflow.sklearn.save_model(model, tmp_path / "model", signature=signature, pip_requirements=["scikit-learn"])
    reference = rows[rows["x"] < 25]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    reference.to_csv(tmp_path / "reference.csv", index=False)
    given = {
        "check": NAME, "parameters": {"reference": "training", "threshold": 0.8, "columns": ["group"]}, "isolation": isolation,
        "model": str(tmp_path / "model"), "rows": str(tmp_path / "rows.csv"), "reference": str(tmp_path / "reference.csv"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(given)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["error"]) == ("completed", "")
    here, there = ((model.predict_proba(part[["x"]])[:, 1] >= 0.8).mean() for part in (rows, reference))
    assert 0 < there < here < 1
    expected = {"acme.approval_rate[]": here, "acme.approval_rate[reference]": there, "acme.approval_shift[]": here - there}
    assert outcome["numbers"] == pytest.approx(expected, rel=0, abs=1e-9)
    assert sorted(outcome["tables"]["acme_values"]) == [["group", "a", 20], ["group", "b", 20]]


def test_the_documentation_shows_this_package() -> None:
    page = (ROOT / "docs" / "checks.md").read_text()
    for kind, file in (("toml", "pyproject.toml"), ("python", "src/acme_checks/approval_shift.py")):
        assert f"```{kind}\n{(PACKAGE / file).read_text()}```" in page


def test_of_the_folder_a_box_sees_what_distributions_own(installed: Path) -> None:
    code = (
        "import json; from workflows.runner import layout; print(json.dumps([str(each.source) for each in layout._plugins()[0]]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {str(installed / name) for name in ("acme_checks", "acme_checks-1.2.0.dist-info")}
