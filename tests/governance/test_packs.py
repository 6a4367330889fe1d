"""Each pack is a story: facts that satisfy all of it, and for every requirement facts that break it and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import yaml

from governance import packs
from governance.checks import catalogue
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
)
from governance.gate import PinnedPolicy, RequirementResult, State, Verdict, judge
from governance.policy import BindingDocument, CompiledPolicy, compile_policy, parse_binding, parse_parameters

Break = Callable[[Facts], Facts]
NOW = 1_800_000_000  # 2027-01-15
LONG = "Written out in enough words that somebody who was not there could follow it. "

# What the checks of this repository report (docs/checks.md); a pack that names anything else must say so in its README.
METRICS = {
    "artifact-scan": {"scan.files", "scan.findings"},
    "signature-schema": {"signature.present", "signature.inputs", "signature.outputs", "input_example.scores"},
    "performance": {
        "roc_auc", "pr_auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "rmse", "mae", "r2", "mape",
        "median_absolute_error", "max_error", "balanced_accuracy", "cohen_kappa", "roc_auc.hand_till", "map", "mrr", "ndcg@10",
        "precision.macro", "precision.weighted", "recall.macro", "recall.weighted", "f1.macro", "f1.weighted",
        "roc_auc.difference", "accuracy.difference", "brier.difference", "log_loss.difference", "rmse.difference",
    },
    "fairness": {
        "selection_rate", "true_positive_rate", "false_positive_rate", "impact_ratio", "demographic_parity_ratio",
        "demographic_parity_difference", "equal_opportunity_difference", "equalized_odds_difference", "smallest_group",
    },
    "explainability": {
        "attribution", "explainability.features", "explainability.rows", "explainability.baseline", "explainability.stability",
        "explainability.ranking_shift", "explainability.top_overlap", "explainability.sensitive_share", "explainability.forbidden_share",
    },
    "robustness": {"robustness.noise.flipped", "robustness.worst_flipped", "robustness.unchanged.flipped"},
    "dependencies": {"dependencies.components", "dependencies.unpinned", "dependencies.vulnerable"},
    "drift": {"drift.psi", "drift.worst_psi", "drift.prediction_psi"},
    "reproducibility": {
        "reproducibility.identical_share", "reproducibility.repeat_identical_share", "reproducibility.order_identical_share",
        "reproducibility.batch_identical_share",
    },
    "text-generation": {"text.refusal_rate", "text.over_refusal_rate", "text.toxic_rate", "text.leak_rate"},
    "model-card": {"card.sections_filled", "card.claims", "card.claims_agreeing", "card.claims_contradicted"},
}  # fmt: skip


def measured(**values: float) -> dict[str, Measured]:
    return {key: measure(key, value) for key, value in values.items()}


def measure(key: str, value: float, n: int = 1000, spread: float = 0.02) -> Measured:
    metric, _, slice_ = key.partition("[")
    return Measured(metric, value, slice_.removesuffix("]"), n, value - spread, value + spread)


def several(values: Mapping[str, float]) -> dict[str, Measured]:
    return {key: measure(key, value) for key, value in values.items()}


def card(*sections: str) -> dict[str, str]:
    return dict.fromkeys(sections, LONG * 2)


# Ways to break


def without(section: str) -> Break:
    return lambda seen: own(seen, card={k: v for k, v in seen.version.card.items() if k != section})


def says(section: str, text: str) -> Break:
    return lambda seen: own(seen, card={**seen.version.card, section: text})


def measures(key: str, value: float, n: int = 1000) -> Break:
    return lambda seen: own(seen, measurements={**seen.version.measurements, key: measure(key, value, n)})


def finds(rule: str, severity: str = "high") -> Break:
    found = FindingFact("artifact-scan", rule, severity, "model.pkl", "…")
    return lambda seen: own(seen, findings=(*seen.version.findings, found))


def leaves_open(severity: str = "high", overdue: bool = False) -> Break:
    found = OpenFinding(1, "Late data", severity, "reviewer", 1, overdue=overdue)
    return lambda seen: msgspec.structs.replace(seen, open_findings=(found,))


def asks(threads: int, unresolved: int) -> Break:
    return lambda seen: msgspec.structs.replace(seen, discussion=DiscussionFacts(threads, unresolved))


def tagged(**tags: str) -> Break:
    return lambda seen: msgspec.structs.replace(seen, model=msgspec.structs.replace(seen.model, tags={**seen.model.tags, **tags}))


def tier(name: str) -> Break:
    return lambda seen: msgspec.structs.replace(seen, model=msgspec.structs.replace(seen.model, risk_tier=name))


def replaces(**measurements: float) -> Break:
    """Put a version in place that measured so."""
    champion = VersionFacts(present=True, number=1, measurements=measured(**measurements))
    return lambda seen: msgspec.structs.replace(seen, champion=champion)


def then(*steps: Break) -> Break:
    def run(seen: Facts) -> Facts:
        for step in steps:
            seen = step(seen)
        return seen

    return run


def own(seen: Facts, **changes: Any) -> Facts:
    return msgspec.structs.replace(seen, version=msgspec.structs.replace(seen.version, **changes))


@dataclass(frozen=True)
class Story:
    """version: one that satisfies the pack. breaks: requirement -> what makes it unsatisfied, on its own.

    applies: requirement -> what makes it apply, for those that do not always. approvals: who approves, in order.
    """

    version: VersionFacts
    breaks: Mapping[str, Break]
    approvals: tuple[tuple[str, str], ...]
    applies: Mapping[str, Break] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tier: str = "medium"


def version(
    checks: tuple[str, ...], measurements: Mapping[str, Measured], sections: Mapping[str, str], **more: Any
) -> VersionFacts:
    return VersionFacts(
        present=True,
        number=2,
        digest="sha256:2",
        signature=True,
        measurements=dict(measurements),
        checks={name: CheckFact(name, "passed") for name in checks},
        card=dict(sections),
        **more,
    )


SCANNED = several({"scan.findings": 0.0, "scan.files": 5.0})
BINARY = several({"roc_auc": 0.8, "brier": 0.15, "recall": 0.9, "precision": 0.8})
EXPLAINED = several({"explainability.features": 20.0})
PINNED = several(
    {
        "dependencies.unpinned": 0.0,
        "dependencies.vulnerable[high]": 0.0,
        "dependencies.vulnerable[critical]": 0.0,
        "dependencies.vulnerable[low]": 3.0,
    }
)
AGREEING = several({"card.sections_filled": 1.0, "card.claims_contradicted": 0.0, "card.claims_agreeing": 1.0})
REPLICATED = several({f"reproducibility.{each}identical_share": 1.0 for each in ("", "repeat_", "order_", "batch_")})


STORIES = {
    "internal-baseline": Story(
        version=version(
            ("artifact-scan", "signature-schema"),
            {**SCANNED, **several({"signature.present": 1.0})},
            card("intended_use", "training_data", "limitations", "monitoring_plan"),
        ),
        breaks={
            "artifact-scan": measures("scan.findings", 1.0),
            "no-code-of-its-own": finds("custom-code", "low"),
            "signature": measures("signature.present", 0.0),
            "model-card": without("limitations"),
            "findings-closed": leaves_open("low", overdue=True),
            "questions-answered": asks(3, 1),
        },
        approvals=(("ravi", "reviewer"), ("rosa", "reviewer")),
    ),
    "eu-ai-act-high-risk": Story(
        version=version(
            ("artifact-scan", "performance", "fairness", "explainability", "robustness", "dependencies", "model-card"),
            {
                **SCANNED,
                **BINARY,
                **EXPLAINED,
                **PINNED,
                **AGREEING,
                **several({"robustness.noise.flipped": 0.02, "robustness.worst_flipped": 0.2}),
                **several({"demographic_parity_ratio[protected]": 0.9, "equal_opportunity_difference[protected]": 0.05}),
            },
            {
                **card(
                    "intended_use", "model_details", "instructions_for_use", "development_process", "design_choices", "architecture",
                    "training_data", "data_preparation", "bias_examination", "human_oversight", "changes", "robustness_tests",
                    "risk_management", "event_logging", "standards_applied", "declaration_of_conformity", "monitoring_plan",
                    "rights_impact_assessment",
                ),
                "substantial_modification": "no: the same purpose, trained again on newer data",
            },
        ),
        breaks={
            "general-description": without("instructions_for_use"),
            "development": says("architecture", "A forest."),
            "data-governance": without("bias_examination"),
            "human-oversight": without("human_oversight"),
            "changes": then(replaces(roc_auc=0.8), says("substantial_modification", "perhaps: it depends on whom one asks")),
            "accuracy": measures("roc_auc", 0.6),
            "selection-parity": measures("demographic_parity_ratio[protected]", 0.7),
            "accuracy-by-group": measures("equal_opportunity_difference[protected]", 0.2),
            "explanation": measures("explainability.features", 0.0),
            "declared-numbers": measures("card.claims_agreeing", 0.0),
            "robustness": measures("robustness.noise.flipped", 0.06),
            "cybersecurity": measures("scan.findings", 2.0),
            "known-vulnerabilities": measures("dependencies.vulnerable[critical]", 1.0),
            "risk-management": leaves_open("critical"),
            "event-logging": without("event_logging"),
            "conformity": without("declaration_of_conformity"),
            "post-market-monitoring": without("monitoring_plan"),
            "impact-assessment": then(tagged(deployer="public"), without("rights_impact_assessment")),
        },
        applies={"changes": replaces(roc_auc=0.8), "impact-assessment": tagged(deployer="public")},
        approvals=(("ravi", "reviewer"), ("rosa", "reviewer"), ("carl", "compliance"), ("lena", "legal")),
        tier="high",
    ),
    "sr-26-2": Story(
        version=version(
            ("artifact-scan", "performance", "explainability", "reproducibility", "drift", "model-card"),
            {**SCANNED, **BINARY, **EXPLAINED, **REPLICATED, **AGREEING, **several({"drift.worst_psi": 0.12})},
            {
                **card(
                    "model_details", "intended_use", "restrictions", "upstream_and_downstream", "materiality", "design_evidence",
                    "assumptions", "variable_choice", "limitations", "monitoring_plan", "escalation", "next_review_reason",
                    "vendor_documentation", "contingency",
                ),
                "next_review_on": "2027-06-30",
            },
        ),
        breaks={
            "inventory": without("upstream_and_downstream"),
            "card-numbers": measures("card.claims_contradicted", 1.0),
            "materiality": without("materiality"),
            "conceptual-soundness": without("variable_choice"),
            "outcomes-analysis": measures("roc_auc", 0.66),  # good, but its interval begins at 0.64
            "calibration": measures("brier", 0.3),
            "benchmarking": replaces(roc_auc=0.82),
            "replication": measures("reproducibility.identical_share", 0.995),
            "sensitivity": measures("explainability.features", 0.0),
            "implementation": measures("scan.findings", 1.0),
            "ongoing-monitoring": without("escalation"),
            "population": measures("drift.worst_psi", 0.25),
            "next-review": says("next_review_on", "2026-06-30"),
            "vendor-documentation": then(tagged(vendor="acme"), without("contingency")),
            "effective-challenge": asks(0, 0),
            "findings": leaves_open(),
        },
        applies={"benchmarking": replaces(roc_auc=0.79), "vendor-documentation": tagged(vendor="acme")},
        approvals=(("olga", "business-owners"), ("vera", "model-validation")),
        tags={"model_risk": "in-scope"},
    ),
    "sr-11-7": Story(
        version=version(
            ("artifact-scan", "performance", "explainability", "reproducibility", "model-card"),
            {**SCANNED, **BINARY, **EXPLAINED, **REPLICATED, **AGREEING},
            card(
                "model_details", "intended_use", "training_data", "limitations", "assumptions", "design_evidence", "monitoring_plan"
            ),
        ),
        breaks={
            "documentation": without("assumptions"),
            "card-numbers": measures("card.sections_filled", 0.8),
            "conceptual-soundness": without("design_evidence"),
            "outcomes-analysis": measures("roc_auc", 0.6),
            "benchmarking": replaces(roc_auc=0.9),
            "replication": measures("reproducibility.repeat_identical_share", 0.995),
            "implementation": measures("scan.findings", 1.0),
            "ongoing-monitoring": without("monitoring_plan"),
            "findings": leaves_open("medium", overdue=True),
            "effective-challenge": asks(2, 1),
        },
        applies={"benchmarking": replaces(roc_auc=0.8)},
        approvals=(("olga", "business-owners"), ("vera", "model-validation")),
        tags={"model_risk": "sr-11-7"},
    ),
    "nyc-ll144": Story(
        version=version(
            ("artifact-scan", "fairness"),
            {
                f"{metric}[{slice_}]": measure(f"{metric}[{slice_}]", value, n)
                for metric, slice_, value, n in [
                    *(("demographic_parity_ratio", feature, 0.85, 1000) for feature in ("sex", "race", "sex_race")),
                    *(("smallest_group", feature, 10.0, 1000) for feature in ("sex", "race", "sex_race")),
                    ("impact_ratio", "sex=female", 0.9, 480),
                    ("impact_ratio", "sex=male", 1.0, 500),
                    ("impact_ratio", "sex=missing", 0.3, 20),  # nobody knows of them: told in the summary, not judged
                    ("impact_ratio", "race=Asian", 0.85, 200),
                    ("impact_ratio", "race=White", 1.0, 790),
                    ("impact_ratio", "race=Native Hawaiian", 0.2, 10),  # below 2 %
                    ("impact_ratio", "sex_race=female, Asian", 0.85, 100),
                    ("impact_ratio", "sex_race=male, White", 1.0, 900),
                ]
            },
            {
                **card("data_source", "unknown_category", "excluded_categories", "public_summary", "candidate_notice", "auditor"),
                "bias_audit_on": "2026-09-30",
            },
        ),
        breaks={
            "impact-ratio-sex": measures("impact_ratio[sex=female]", 0.79),
            "impact-ratio-race": measures("impact_ratio[race=Asian]", 0.79),
            "impact-ratio-sex-and-race": measures("impact_ratio[sex_race=female, Asian]", 0.5),
            "audit-date": says("bias_audit_on", "2026-01-14"),
            "published-summary": without("excluded_categories"),
            "notice": without("candidate_notice"),
            "auditor": says("auditor", "Ours."),
        },
        approvals=(("ada", "independent-auditors"), ("pia", "people-operations"), ("lena", "legal")),
        tags={"use": "employment-nyc"},
    ),
    "medical-device-part-11": Story(
        version=version(
            ("artifact-scan", "signature-schema", "performance", "reproducibility"),
            {**SCANNED, **BINARY, **REPLICATED, **several({"signature.present": 1.0, "input_example.scores": 1.0})},
            {
                **card("intended_use", "validation_protocol", "validation_report", "risk_analysis", "limitations"),
                "change_assessment": "within plan: section 3.2, retraining on more of the same scanner",
            },
        ),
        breaks={
            "locked-artifact": finds("embedded-code", "low"),
            "locked-output": measures("reproducibility.batch_identical_share", 0.99),
            "interface": measures("input_example.scores", 0.0),
            "sensitivity": measures("recall", 0.86),  # good, but its interval begins at 0.84
            "predictive-value": measures("precision", 0.4),
            "cases": measures("recall", 0.9, n=99),
            "design-control": without("risk_analysis"),
            "change-control": then(replaces(recall=0.9), says("change_assessment", "small")),
            "findings": leaves_open("medium"),
            "questions-answered": asks(1, 1),
        },
        applies={"change-control": replaces(recall=0.9)},
        approvals=(("ravi", "reviewer"), ("cleo", "clinical-affairs"), ("quin", "quality-assurance")),
        tags={"use": "medical-device"},
    ),
    "llm-application": Story(
        version=version(
            ("artifact-scan", "dependencies", "text-generation"),
            {
                **SCANNED,
                **PINNED,
                **several({
                    "text.leak_rate": 0.0, "text.toxic_rate": 0.002, "text.refusal_rate": 0.98, "text.over_refusal_rate": 0.03,
                    "generation.grounded_rate": 0.95, "generation.harmful_rate": 0.001,
                }),
            },
            card(
                "base_model", "licence_and_terms", "provider_data_use", "intended_use", "out_of_scope", "limitations",
                "red_team_report", "prompt_injection_tests", "tool_permissions", "human_confirmation", "privacy", "monitoring_plan",
                "incident_response", "code_review",
            ),
        ),
        breaks={
            "artifact-scan": finds("unsafe-import", "critical"),
            "code-was-read": then(finds("custom-code"), without("code_review")),
            "supply": without("provider_data_use"),
            "known-vulnerabilities": measures("dependencies.unpinned", 1.0),
            "intended-use": without("out_of_scope"),
            "leaks": measures("text.leak_rate", 0.001),
            "toxic-words": measures("text.toxic_rate", 0.006),
            "refusals": measures("text.over_refusal_rate", 0.2),
            "groundedness": measures("generation.grounded_rate", 0.8),
            "harmful-content": measures("generation.harmful_rate", 0.001, n=50),
            "red-team": without("prompt_injection_tests"),
            "tools": then(tagged(tools="mail, calendar"), without("human_confirmation")),
            "personal-data": without("privacy"),
            "monitoring": without("incident_response"),
            "findings": leaves_open(),
        },
        applies={"code-was-read": finds("custom-code"), "tools": tagged(tools="mail, calendar")},
        approvals=(("ravi", "reviewer"), ("sven", "security")),
        tags={"kind": "llm"},
    ),
}  # fmt: skip


def pinned(name: str) -> PinnedPolicy:
    policy, values, binding = read(name)
    return PinnedPolicy(policy, values, binding.name, binding.mode)


def read(name: str) -> tuple[CompiledPolicy, dict[str, Any], BindingDocument]:
    first, *rest = packs.documents(name)
    policy, binding = compile_policy(first), parse_binding(rest[-1])
    named = [parse_parameters(document) for document in rest[:-1]]
    assert [(p.name, p.policy) for p in named] == ([(binding.parameters_name, policy.name)] if binding.parameters_name else [])
    return policy, {**binding.parameters, **(named[0].values if named else {})}, binding


def good(name: str, approving: int | None = None) -> Facts:
    """Return facts that satisfy a pack; approving: how many of those who should approve did."""
    story = STORIES[name]
    people = {who: PersonFact(who, (group,)) for who, group in story.approvals}
    approved = story.approvals[:approving]
    return Facts(
        request=RequestFacts(1, "dana", "stage", "Production", "Staging"),
        model=ModelFacts("scoring", story.tier, dict(story.tags)),
        version=story.version,
        champion=VersionFacts(),
        reviews=tuple(ReviewFact(who, "approve", (group,), True) for who, group in approved),
        people=tuple(people[who] for who, _ in story.approvals if who not in dict(approved)),
        calendar=CalendarFacts(NOW, "2027-01-15", 5, 8),
        discussion=DiscussionFacts(2, 0),
        authors={read(name)[2].name: "pat"},
    )


def judged(name: str, seen: Facts) -> Verdict:
    return judge([pinned(name)], seen)


def outcomes(name: str, seen: Facts) -> dict[str, RequirementResult]:
    return {r.id: r for r in judged(name, seen).requirements}


CASES = [(name, requirement) for name, story in STORIES.items() for requirement in story.breaks]


def test_every_pack_has_its_story() -> None:
    assert packs.names() == sorted(STORIES) and len(STORIES) == 7
    for name, story in STORIES.items():
        requirements = {r.id: r for r in read(name)[0].requirements}
        assert set(story.breaks) == set(requirements), name
        conditional = {key for key, r in requirements.items() if r.applies_if is not None}
        assert set(story.applies) <= conditional


@pytest.mark.parametrize("name", STORIES)
def test_what_satisfies_a_pack_opens_the_gate(name: str) -> None:
    verdict = judged(name, good(name))
    assert verdict.satisfied, [(r.id, r.reason) for r in verdict.blocking]


@pytest.mark.parametrize(("name", "requirement"), CASES)
def test_each_requirement_is_seen_satisfied_and_unsatisfied(name: str, requirement: str) -> None:
    story = STORIES[name]
    applying = story.applies.get(requirement, lambda seen: seen)(good(name))
    assert outcomes(name, applying)[requirement].state is State.SATISFIED, outcomes(name, applying)[requirement].reason
    assert judged(name, applying).satisfied

    verdict = judged(name, story.breaks[requirement](good(name)))
    assert [(r.id, r.state) for r in verdict.blocking] == [(requirement, State.UNSATISFIED)], [r.reason for r in verdict.blocking]
    assert verdict.blocking[0].how_to_satisfy


# Requirements of several halves: what breaks the halves that their story leaves whole.
HALVES = [
    ("eu-ai-act-high-risk", "declared-numbers", measures("card.claims_contradicted", 1.0)),
    ("eu-ai-act-high-risk", "declared-numbers", measures("card.sections_filled", 6 / 7)),
    ("eu-ai-act-high-risk", "robustness", measures("robustness.worst_flipped", 0.41)),
    ("eu-ai-act-high-risk", "robustness", without("robustness_tests")),
    ("eu-ai-act-high-risk", "known-vulnerabilities", measures("dependencies.vulnerable[high]", 1.0)),
    ("eu-ai-act-high-risk", "known-vulnerabilities", measures("dependencies.unpinned", 1.0)),
    ("llm-application", "known-vulnerabilities", measures("dependencies.vulnerable[high]", 1.0)),
    ("llm-application", "known-vulnerabilities", measures("dependencies.vulnerable[critical]", 1.0)),
    ("llm-application", "leaks", measures("text.leak_rate", 0.0, n=199)),
    ("llm-application", "toxic-words", measures("text.toxic_rate", 0.0, n=199)),
    ("llm-application", "refusals", measures("text.refusal_rate", 0.9)),
    ("sr-26-2", "card-numbers", measures("card.sections_filled", 6 / 7)),
    ("sr-26-2", "replication", measures("reproducibility.repeat_identical_share", 0.995)),
    ("sr-11-7", "card-numbers", measures("card.claims_contradicted", 1.0)),
    ("sr-11-7", "replication", measures("reproducibility.identical_share", 0.995)),
    *(
        ("medical-device-part-11", "locked-output", measures(f"reproducibility.{each}identical_share", 0.99))
        for each in ("", "repeat_", "order_")
    ),
]


@pytest.mark.parametrize(("name", "requirement", "broken"), HALVES)
def test_each_half_of_a_requirement_is_needed(name: str, requirement: str, broken: Break) -> None:
    verdict = judged(name, broken(good(name)))
    assert [(r.id, r.state) for r in verdict.blocking] == [(requirement, State.UNSATISFIED)]


@pytest.mark.parametrize(("name", "requirement"), [(name, key) for name, story in STORIES.items() for key in story.applies])
def test_a_conditional_requirement_does_not_apply_without_its_condition(name: str, requirement: str) -> None:
    assert outcomes(name, good(name))[requirement].state is State.NOT_APPLICABLE


@pytest.mark.parametrize("name", STORIES)
def test_each_signature_is_needed(name: str) -> None:
    for count in range(len(STORIES[name].approvals)):
        verdict = judged(name, good(name, approving=count))
        assert not verdict.satisfied and verdict.evidence_satisfied
        assert {r.kind for r in verdict.blocking} == {"approval"}
        assert all(r.state is State.PENDING for r in verdict.blocking)


@pytest.mark.parametrize("name", STORIES)
def test_without_evidence_nothing_measured_passes(name: str) -> None:
    compiled = read(name)[0]
    for state in ("error", "never run"):
        checks = {} if state == "never run" else {c.check: CheckFact(c.check, "error") for c in compiled.checks}
        verdict = judged(name, own(good(name), measurements={}, findings=(), checks=checks, card={}))
        for result in verdict.requirements:
            needs = next((r for r in compiled.requirements if r.id == result.id), None)
            if needs is not None and (needs.measurements or needs.any_measurement or needs.gains_by_absence):
                assert result.state in (State.ERROR, State.UNSATISFIED, State.NOT_APPLICABLE), (result.id, result.state)
        assert not verdict.satisfied


@pytest.mark.parametrize("name", STORIES)
def test_its_checks_exist_and_take_its_parameters(name: str) -> None:
    policy, values, _ = read(name)
    assert policy.wrong_parameters(values) == []
    for check in policy.checks:
        resolved = check.resolved(policy.effective(values))
        built = catalogue.build(resolved.check, resolved.parameters)
        assert bool(resolved.dataset) == built.needs_dataset


@pytest.mark.parametrize("name", STORIES)
def test_it_names_no_measurement_that_its_checks_do_not_make_without_saying_so(name: str) -> None:
    policy = read(name)[0]
    made = set().union(*(METRICS[c.check] for c in policy.checks))
    foreign = {key for r in policy.requirements for key in r.measurements if key.partition("[")[0] not in made}
    readme = packs.readme(name)
    assert all(f"`{key}`" in readme for key in foreign)
    assert bool(foreign) == ("must come from a check that your" in readme)


@pytest.mark.parametrize("name", STORIES)
def test_its_readme_names_every_requirement_group_and_value_to_give(name: str) -> None:
    policy = read(name)[0]
    readme = packs.readme(name)
    steps = [*policy.steps, *(policy.rollback.steps if policy.rollback else ())]
    groups = {factor.group for step in steps for factor in step.factors} | {step.escalate_to for step in steps}
    groups |= {policy.waivers.approved_by} if policy.waivers else set()
    groups |= {policy.validity.escalate_to}
    wanted = {r.id for r in policy.requirements} | (groups - {""}) | {p.name for p in policy.parameters if p.default is None}
    assert [word for word in sorted(wanted) if f"`{word}`" not in readme] == []


@pytest.mark.parametrize("name", STORIES)
def test_it_is_enforced_and_bound_where_its_readme_says(name: str) -> None:
    policy, _, binding = read(name)
    assert (binding.policy, binding.name, binding.mode, policy.name) == (name, name, "enforce", name)
    assert "Production" in binding.stages and "champion" in binding.aliases
    for key, value in binding.tags.items():
        assert f"`{key}: {value}`" in packs.readme(name)
    assert dict(STORIES[name].tags) == dict(binding.tags)
    assert not binding.risk_tiers or STORIES[name].tier in binding.risk_tiers


def test_an_unknown_pack_is_refused_with_those_there_are() -> None:
    for load in (packs.documents, packs.readme):
        for name in ("sr-12", "../packs/sr-11-7", ""):
            with pytest.raises(KeyError, match=r"there are eu-ai-act-high-risk, internal-baseline"):
                load(name)


def test_documents_come_in_the_order_to_publish_them() -> None:
    kinds = {name: [yaml.safe_load(document)["kind"] for document in packs.documents(name)] for name in packs.names()}
    assert kinds["nyc-ll144"] == ["Policy", "Parameters", "Binding"]
    assert kinds["internal-baseline"] == ["Policy", "Binding"]


# What is particular to one


def test_what_answers_leak_is_no_dangerous_file() -> None:
    leaked = FindingFact("text-generation", "leaks-api-key", "critical", "api_key", "…")
    seen = good("llm-application")
    assert judged("llm-application", own(seen, findings=(leaked,))).satisfied  # the rate is judged, with a limit of its own


def test_without_a_list_of_advisories_no_package_is_taken_for_sound() -> None:
    for name in ("llm-application", "eu-ai-act-high-risk"):
        seen = good(name)
        known = {key: m for key, m in seen.version.measurements.items() if m.metric != "dependencies.vulnerable"}
        verdict = judged(name, own(seen, measurements=known))
        assert [(r.id, r.state) for r in verdict.blocking] == [("known-vulnerabilities", State.ERROR)]


def test_a_reason_replaces_a_benchmark_only_at_low_materiality() -> None:
    worse = then(replaces(roc_auc=0.9), says("replacement_reason", LONG * 2))(good("sr-26-2"))
    assert outcomes("sr-26-2", worse)["benchmarking"].state is State.UNSATISFIED
    assert outcomes("sr-26-2", tier("low")(worse))["benchmarking"].state is State.OVERRIDDEN


def test_the_committee_is_asked_at_high_materiality_only() -> None:
    assert outcomes("sr-26-2", good("sr-26-2"))["committee-model-risk-committee"].state is State.NOT_APPLICABLE
    # Nobody is on the committee here, which must not look like waiting.
    assert outcomes("sr-26-2", tier("high")(good("sr-26-2")))["committee-model-risk-committee"].state is State.ERROR


def test_an_audit_from_the_future_is_none() -> None:
    assert not judged("nyc-ll144", says("bias_audit_on", "2027-03-01")(good("nyc-ll144"))).satisfied
    assert outcomes("nyc-ll144", says("bias_audit_on", "last year")(good("nyc-ll144")))["audit-date"].state in (
        State.UNSATISFIED,
        State.ERROR,
    )


def test_a_group_is_small_only_in_proportion() -> None:
    grown = measures("impact_ratio[race=Native Hawaiian]", 0.2, n=25)(good("nyc-ll144"))
    assert [r.id for r in judged("nyc-ll144", grown).blocking] == ["impact-ratio-race"]


def test_nothing_of_the_medical_pack_can_be_waived() -> None:
    policy = read("medical-device-part-11")[0]
    assert policy.waivers is None and not any(r.waivable for r in policy.requirements)
    assert policy.signature_meanings == ("review", "approval", "responsibility")
    assert policy.sequential and policy.release.on_demand and policy.release.windows


def test_a_validator_of_the_owning_team_does_not_count() -> None:
    seen = good("sr-11-7")
    insider = tuple(msgspec.structs.replace(r, in_owner_team=True) for r in seen.reviews)
    verdict = judged("sr-11-7", msgspec.structs.replace(seen, reviews=insider))
    assert [r.id for r in verdict.blocking] == ["validation-model-validation"]
