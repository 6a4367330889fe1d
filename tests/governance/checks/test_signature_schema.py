"""The signature is counted and the example is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from governance.checks.base import Finding, Measurement, UnreadableInput
from governance.checks.signature_schema import SignatureSchema
from tests.governance.checks.conftest import subject


def run(model_dir: Path) -> tuple[dict[str, float | None], list[Finding]]:
    results = list(SignatureSchema().run(subject(model_dir)))
    values = {each.metric: each.value for each in results if isinstance(each, Measurement)}
    return values, [each for each in results if isinstance(each, Finding)]


def test_a_model_with_signature_and_example(credit: Any) -> None:
    values, findings = run(credit.skops)
    assert values == {
        "signature.present": 1.0,
        "signature.inputs": 8.0,
        "signature.outputs": 1.0,
        "input_example.scores": 1.0,
    }
    assert findings == []


def test_a_model_without_either(credit: Any, saved: Any) -> None:
    values, findings = run(saved(credit.pipeline))
    assert values["signature.present"] == 0.0 and values["input_example.scores"] is None
    assert [each.rule for each in findings] == ["no-signature"]


def test_an_example_that_the_model_refuses(credit: Any, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(credit.skops, broken)
    text = (broken / "input_example.json").read_text()
    (broken / "input_example.json").write_text(text.replace('"status"', '"state"'))
    values, findings = run(broken)
    assert values["input_example.scores"] == 0.0
    assert findings[0].rule == "input-example-fails" and "status" in findings[0].message


@pytest.mark.parametrize("content", [b"[1, 2", b"- a\n- b\n", b"\xff\xfe", b"a: !!python/object/apply:os.getcwd []\n"])
def test_a_broken_mlmodel_file_is_a_named_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "MLmodel").write_bytes(content)
    with pytest.raises(UnreadableInput, match="MLmodel"):
        run(tmp_path)
