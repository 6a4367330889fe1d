"""The child writes one document, finite and whole, whatever happens."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from governance.checks.base import Finding, Measurement, Table
from governance.checks.execute import document, execute
from governance.checks.predictor import Loaded
from tests.governance.checks.conftest import answering

ROOT = Path(__file__).resolve().parents[3]


def spec(credit: Any, check: str, **parameters: Any) -> dict[str, Any]:
    dataset = {"path": str(credit.test_path), "target": "good_credit", "favourable": 1, "name": "credit"}
    return {"check": check, "parameters": parameters, "model_dir": str(credit.skops), "dataset": dataset, "seed": 3}


def test_the_module_runs_as_a_process(credit: Any, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec(credit, "performance", slices=["sex"])))
    command = [sys.executable, "-m", "governance.checks.execute", str(tmp_path / "spec.json"), str(tmp_path)]
    with answering(credit.skops) as (source, target):
        descriptors = (source.fileno(), target.fileno())
        subprocess.run(
            [*command, f"model:{descriptors[0]}:{descriptors[1]}"], pass_fds=descriptors, cwd=ROOT, check=True, timeout=60
        )
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "completed" and result["error"] is None
    assert {"metric", "value", "slice", "n", "ci_low", "ci_high", "method"} == set(result["measurements"][0])
    assert result["environment"]["scikit-learn"] and result["environment"]["python"].startswith("3.")
    progress = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert progress[-1] == {"done": 1.0, "text": "Done"} and len(progress) >= 2


@pytest.mark.parametrize(
    "change, code",
    [
        ({"check": "nothing"}, "invalid_parameters"),
        ({"parameters": {"threshold": 3}}, "invalid_parameters"),
        ({"dataset": None}, "missing_input"),
        ({"model_dir": None}, "missing_input"),
        ({"model_dir": "/nowhere"}, "model_load_failed"),
        ({"dataset": {"path": "/nowhere.csv", "target": "x"}}, "unreadable_input"),
    ],
)
def test_every_failure_has_a_code(credit: Any, tmp_path: Path, change: dict[str, Any], code: str) -> None:
    given = {**spec(credit, "performance"), **change}
    result = execute(given, tmp_path, {"model": Loaded(given["model_dir"])} if given["model_dir"] else {})
    assert (result["status"], result["error"]["code"]) == ("error", code)
    assert result["measurements"] == [] and len(result["error"]["message"]) > 20


def test_what_json_cannot_carry_is_null_with_a_note() -> None:
    results = [
        Measurement("a", math.nan, method="how", ci_low=-math.inf),
        Measurement("b", np.float64(0.5), n=np.int64(3)),  # type: ignore[arg-type]
        Table("t", "T", ("x",), ((math.inf,), (np.float32(2.0),), ("x" * 5000,), (None,))),  # type: ignore[arg-type]
        Finding("r", "low", "here", "y" * 5000),
    ]
    written = json.loads(json.dumps(document(results, None, 0.1), allow_nan=False))
    first, second = written["measurements"]
    assert first["value"] is None and first["ci_low"] is None
    assert first["method"] == "not computed: the result was nan; how"
    assert (second["value"], second["n"]) == (0.5, 3)
    assert [row[0] if not isinstance(row[0], str) else len(row[0]) for row in written["tables"][0]["rows"]] == [
        None,
        2.0,
        2000,
        None,
    ]
    assert len(written["findings"][0]["message"]) == 2000
