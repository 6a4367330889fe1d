"""Every example in docs/policies.md can be published, and comes out as the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance import packs
from governance.calendars import covering
from governance.checks import catalogue
from governance.expressions import CONTEXT, VARIABLES
from governance.facts import (
    CalendarFacts,
    CheckFact,
    DiscussionFacts,
    Facts,
    FindingFact,
    Measured,
    ModelFacts,
    OpenFinding,
    PersonFact,
    RequestFacts,
    ReviewFact,
    VersionFacts,
    WaiverFact,
)
from governance.gate import PinnedPolicy, State, judge
from governance.policy import BindingDocument, CompiledPolicy, ParametersDocument, compile_policy, parse_binding, parse_parameters
from governance.schemas import BINDING_SCHEMA, POLICY_SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
TEXT = PAGE.read_text()
TRIVIAL = "requirements: [{id: present, title: Present, how_to_satisfy: Register it., satisfied_if: version.present}]\n"


GIVEN = {
    "policy", "mode", "parameters", "today", "tier", "tags", "kind", "earlier_approval", "measurements", "findings", "checks", "card",
    "champion", "approved", "may", "owner_team", "waivers", "open_findings", "discussion",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What an example says of one version. line: of the page, where the case's block begins."""

    line: int
    policy: CompiledPolicy
    parameters: dict[str, Any]
    said: dict[str, Any]


def blocks() -> Iterator[tuple[int, str]]:
    for match in re.finditer(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        yield TEXT[: match.start()].count("\n") + 1, match[1]


def read(text: str) -> CompiledPolicy | ParametersDocument | BindingDocument:
    if text.startswith("kind: Binding"):
        return parse_binding(text)
    if text.startswith("kind: Parameters"):
        return parse_parameters(text)
    if text.startswith("kind: Policy"):
        return compile_policy(text)
    return compile_policy(f"kind: Policy\nname: example\n{'' if 'requirements:' in text else TRIVIAL}{text}")


def examples() -> list[Case]:
    """Return the page's cases, each with the policy before it and, where the block before names any, its parameters."""
    cases, policies, current = list[Case](), dict[str, CompiledPolicy](), None
    values: dict[str, Any] = {}
    for line, text in blocks():
        if not text.startswith("given:"):
            document = read(text)
            if isinstance(document, CompiledPolicy):
                current, values = document, {}
                policies[document.name] = document
            elif isinstance(document, ParametersDocument):
                values = dict(document.values)
            continue
        for said in yaml.safe_load_all(text):
            policy = policies[said["given"]["policy"]] if "policy" in said["given"] else current
            assert policy is not None
            cases.append(Case(line, policy, {**values, **said["given"].get("parameters", {})}, said))
    return cases


CASES = examples()


def measured(given: dict[str, Any]) -> dict[str, Measured]:
    return {
        key: Measured(key, **value) if isinstance(value, dict) else Measured(key, float(value))
        for key, value in given.get("measurements", {}).items()
    }


def facts(given: dict[str, Any]) -> Facts:
    """Return the facts that an example gives, the rest of them empty."""
    today = given.get("today", date(2026, 11, 20))
    at = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    team = given.get("owner_team", [])
    people = [PersonFact(who, tuple(groups), who in team) for who, groups in given.get("may", {}).items()]
    reviews = [
        ReviewFact(who, "approve", tuple(groups), True, in_owner_team=who in team)
        for who, groups in given.get("approved", {}).items()
    ]
    champion = given.get("champion")
    return Facts(
        request=RequestFacts(
            1, "dana", "stage", "Production", "Staging", given.get("kind", "promotion"), given.get("earlier_approval", False)
        ),
        model=ModelFacts("scoring", given.get("tier", "medium"), given.get("tags", {})),
        version=VersionFacts(
            present=True,
            number=2,
            measurements=measured(given),
            findings=tuple(FindingFact("artifact-scan", **f, location="x", message="x") for f in given.get("findings", [])),
            checks={
                name: CheckFact(name, **said) if isinstance(said, dict) else CheckFact(name, said)
                for name, said in given.get("checks", {}).items()
            },
            card=given.get("card", {}),
        ),
        champion=VersionFacts(present=True, number=1, measurements=measured(champion)) if champion else VersionFacts(),
        reviews=tuple(reviews),
        people=tuple(people),
        waivers=tuple(
            WaiverFact(
                i,
                "example",
                w["requirement"],
                "version",
                "late",
                w.get("compensating_control", "watched"),
                w["approved_by"],
                w.get("expires_at", "2027-01-01T00:00:00Z"),
            )
            for i, w in enumerate(given.get("waivers", []))
        ),
        open_findings=tuple(
            OpenFinding(i, "x", f["severity"], "reviewer", 1, overdue=f.get("overdue", False))
            for i, f in enumerate(given.get("open_findings", []))
        ),
        calendar=CalendarFacts(int(at.timestamp()), at.date().isoformat(), at.isoweekday(), at.hour),
        discussion=DiscussionFacts(**given.get("discussion", {})),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"line {case.line} {case.policy.name}")
def test_an_example_comes_out_as_the_page_says(case: Case) -> None:
    said, known = case.said, {"given", "gate", "outcomes", "blocking", "material", "immaterial", "windows"}
    assert set(said) <= known and {"given", "gate", "outcomes"} <= set(said) and set(said["given"]) <= GIVEN
    assert case.policy.wrong_parameters(case.parameters) == []
    pinned = PinnedPolicy(case.policy, case.parameters, "example", said["given"].get("mode", "enforce"))
    verdict = judge([pinned], facts(said["given"]))
    found = {r.id: r for r in verdict.requirements}
    for name, outcome in said["outcomes"].items():
        state, _, reason = outcome.partition(": ")
        assert (found[name].state, found[name].reason if reason else "") == (state, reason), found[name].reason
    assert verdict.satisfied == (said["gate"] == "open"), [(r.id, r.reason) for r in verdict.blocking]
    if "blocking" in said:
        assert [r.id for r in verdict.blocking] == said["blocking"]
    for path in said.get("material", []):
        assert case.policy.is_material(path), path
    for path in said.get("immaterial", []):
        assert not case.policy.is_material(path), path
    for moment, state in said.get("windows", {}).items():
        assert bool(covering(case.policy.release.windows, datetime.fromisoformat(moment))) == (state == "open"), moment


def test_the_examples_show_every_state_and_both_ends_of_the_gate() -> None:
    told = {outcome.partition(": ")[0] for case in CASES for outcome in case.said["outcomes"].values()}
    assert told == {state.value for state in State}
    assert {case.said["gate"] for case in CASES} == {"open", "shut"}
    assert len(CASES) > 20


def test_every_policy_on_the_page_is_judged_and_its_checks_exist() -> None:
    judged = {case.policy.digest for case in CASES}
    for line, text in blocks():
        if text.startswith("given:"):
            continue
        document = read(text)
        if isinstance(document, CompiledPolicy):
            assert document.digest in judged, f"the example in line {line} is not judged"
            for check in document.checks:
                values = {p.name: "x" for p in document.parameters if p.default is None}
                resolved = check.resolved(document.effective(values))
                if resolved.source == "worker":
                    catalogue.build(resolved.check, resolved.parameters)


def test_bindings_and_parameters_on_the_page_fit_their_policy() -> None:
    documents = [read(text) for _, text in blocks() if text.startswith("kind:")]
    (policy,) = [d for d in documents if isinstance(d, CompiledPolicy)]
    named = {d.name: d for d in documents if isinstance(d, ParametersDocument)}
    bindings = [d for d in documents if isinstance(d, BindingDocument)]
    assert len(bindings) == 2
    for binding in bindings:
        assert binding.policy == policy.name
        values = named[binding.parameters_name].values if binding.parameters_name else binding.parameters
        assert policy.wrong_parameters(values) == []


def test_the_messages_that_the_page_quotes_are_what_is_said() -> None:
    quoted = re.findall(r"^line \d+, column \d+: (.*)$", TEXT, re.MULTILINE)
    said = []
    for broken in (
        'satisfied_if: measurements["a"].valeu > 0.1',
        'satisfied_if: measurements["a"].value >= 0',
        'satisfied_if: "true"',
    ):
        document = (
            f"kind: Policy\nname: p\nwaivers: {{approved_by: reviewer, max_days: 9}}\nrequirements:\n"
            f"  - id: a\n    title: A\n    how_to_satisfy: x\n    {broken}\n"
            f"steps: [{{name: s, factors: [{{group: reviewer, count: 1}}]}}]\n"
        )
        try:
            compile_policy(document)
        except Exception as error:
            said += [mistake.message for mistake in error.mistakes]  # type: ignore[attr-defined]
    assert len(quoted) == 3
    assert [message for message in quoted if message not in said] == []


def fields(schema: dict[str, Any]) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from fields(inner)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from fields(schema[key])


def test_every_field_and_every_choice_of_a_document_is_told() -> None:
    for schema in (POLICY_SCHEMA, BINDING_SCHEMA):
        for name in fields(schema):
            assert re.search(rf"\b{name}\b", TEXT), name
    choices = re.findall(r"'enum': \[(.*?)\]", str([POLICY_SCHEMA, BINDING_SCHEMA]))
    for word in {word.strip(" '") for choice in choices for word in choice.split(",")}:
        assert re.search(rf"\b{word}\b", TEXT), word


def test_the_context_is_told_as_it_is() -> None:
    for name, kind in VARIABLES.items():
        shape, _, item = kind.rpartition(" ")
        assert f"| `{name}` | {f'{shape} of ' if shape else ''}{item} |" in TEXT, name
    rows = dict(re.findall(r"^\| ([A-Z]\w+) \| (.*) \|$", TEXT, re.MULTILINE))
    assert {name: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row)) for name, row in rows.items()} == {
        name: list(own) for name, own in CONTEXT.items()
    }


def test_every_state_is_told() -> None:
    for state in State:
        assert f"| `{state.value}` |" in TEXT


def test_the_pack_that_the_page_takes_as_an_example_is_there() -> None:
    assert set(re.findall(r"governance/packs/([a-z0-9-]+)", TEXT)) <= set(packs.names())
