"""Every example in docs/policies.md is one that can be published."""

from __future__ import annotations

import re
from pathlib import Path

from governance.expressions import VARIABLES
from governance.gate import State
from governance.policy import compile_policy, parse_binding

TEXT = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()


def test_every_example_compiles() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert [compile_policy(e).name if e.startswith("kind: Policy") else parse_binding(e).policy for e in examples] == [
        "scoring-production",
        "scoring-production",
    ]
    assert compile_policy(examples[0]).wrong_parameters(parse_binding(examples[1]).parameters) == []


def test_every_variable_and_state_is_told() -> None:
    for name in (*VARIABLES, *(state.value for state in State)):
        assert f"`{name}`" in TEXT, name
