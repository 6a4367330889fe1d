"""The report of one version, put together from what its reader may see. Nothing in it depends on when it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.access import Actor, Permission
from governance import queries as governance_queries
from governance.evidence import Evidence
from governance.gate import RequirementResult
from governance.models import MEASURED, FindingStatus
from governance.queries import CheckRunRow, MeasurementRow
from interfaces.web.figures import Figure, figures
from interfaces.web.pages import lineage as lineage_pages
from interfaces.web.pages import models as model_pages
from interfaces.web.pages import review, words
from interfaces.web.pages.models import Moved
from interfaces.web.pages.words import Status
from interfaces.web.views.models import guards_of
from registry import lineage, rows
from registry import queries as registry_queries
from registry.models import ModelVersion
from registry.queries import VersionDetail
from workflows.assessment import holder
from workflows.queries import requests as request_queries
from workflows.queries import risk
from workflows.queries.requests import DecisionHistory, DecisionRow, PinRow, ReviewRow
from workflows.queries.risk import FindingSummary

_MOST_MEASUREMENTS = 150  # of one check; groups of many features may have thousands
_MOST_NODES = 60


@dataclass(frozen=True)
class Measured:
    """One measurement, with the limit of a policy where one judges it. counted: over how many rows, or empty."""

    what: str
    value: str
    interval: str
    counted: str
    method: str
    limit: str


@dataclass(frozen=True)
class Check:
    """The latest run of a check that measured something."""

    run: CheckRunRow
    title: str
    measurements: tuple[Measured, ...]
    left_out: int


@dataclass(frozen=True)
class GivenReview:
    """A review with the words for its verdict."""

    row: ReviewRow
    status: Status


@dataclass(frozen=True)
class Decided:
    """A request for the version: what was asked under which policies, who signed, and what the gate found."""

    reference: str
    id: int
    title: str
    status: Status
    asked_by: str
    asked_at: datetime
    reason: str
    subject_digest: str
    policies: tuple[PinRow, ...]
    reviews: tuple[GivenReview, ...]
    decisions: tuple[DecisionRow, ...]


@dataclass(frozen=True)
class Origin:
    """A thing the version came from."""

    kind: str
    title: str
    note: str
    steps: int
    page: str


@dataclass(frozen=True)
class VersionReport:
    """All of it. until: the latest moment that anything in it is from. place: the guarded place that the limits are of."""

    row: VersionDetail
    created_by: str
    tier: str
    until: datetime
    history: tuple[Moved, ...]
    card: tuple[tuple[str, str], ...]
    place: str
    requirements: tuple[review.Requirement, ...]
    champion: int | None
    checks: tuple[Check, ...]
    figures: tuple[Figure, ...]
    findings: tuple[review.Severe, ...]
    open_findings: tuple[tuple[FindingSummary, Status], ...]
    decided: tuple[Decided, ...]
    origins: tuple[Origin, ...]
    hidden: int
    truncated: bool


def version_report(actor: Actor, name: str, number: int) -> VersionReport:
    """Return the report. Raises NotFound for a version that is absent, or not for this reader."""
    subject = rows.version(actor, Permission.MODEL_READ, name, number)
    found = registry_queries.version_history(subject)
    guard = next(
        iter(sorted(guards_of(actor, subject.model), key=lambda each: (each.kind, each.name) != ("stage", "Production"))), None
    )
    champion, judged = None, []
    if guard is not None:
        champion = holder(subject.model, target_kind=guard.kind, target=guard.name)
        champion = None if champion is None or champion.pk == subject.pk else champion
        verdict = request_queries.outlook(actor, subject, target_kind=guard.kind, target=guard.name)
        trials = request_queries.sees_trials(actor)
        judged = [each for each in verdict.requirements if trials or each.mode != "shadow"] if verdict else []
    runs, others = _measured(actor, subject), _measured(actor, champion)
    decided = request_queries.decision_history(actor, name, number)
    graph = lineage.walk(actor, f"model_version:{name}/{number}", direction=lineage.Direction.UPSTREAM)
    nearest = sorted((node for node in graph.nodes if node.depth), key=lambda node: (node.depth, node.kind, node.key))
    other = f"v{champion.number}" if champion else ""
    finding_rows = risk.finding_rows(risk.findings(actor, model=name, status=FindingStatus.OPEN)[:200])
    return VersionReport(
        row=found.version,
        created_by=found.people.get(found.version.created_by, found.version.created_by),
        tier=words.sentence(found.risk_tier),
        until=_latest(found.version, runs, decided, [move.valid_from for move in found.moves]),
        history=model_pages.history(found.moves),
        card=model_pages.card_sections(Evidence([subject], []).facts(subject).card),
        place=words.target(guard.kind, guard.name) if guard else "",
        requirements=tuple(review.requirement(each, f"v{number}", other, runs) for each in judged if each.kind == "evidence"),
        champion=champion.number if champion else None,
        checks=tuple(_check(run, judged) for run in runs.values()),
        figures=figures(runs, others, limits={}, version=f"v{number}", other=other),
        findings=review.findings(runs.values()),
        open_findings=tuple((each, words.severity(each.severity)) for each in finding_rows),
        decided=tuple(_decided(each) for each in decided),
        origins=tuple(
            Origin(
                words.sentence(node.kind), node.label, lineage_pages.subtitle(node, []), node.depth, lineage_pages.page_of(node)
            )
            for node in nearest[:_MOST_NODES]
        ),
        hidden=graph.hidden,
        truncated=graph.truncated or len(nearest) > _MOST_NODES,
    )


def _measured(actor: Actor, version: ModelVersion | None) -> dict[str, CheckRunRow]:
    if version is None:
        return {}
    newest = governance_queries.check_runs(actor).filter(version=version, state__in=MEASURED)[:100]
    found = model_pages.latest_measured(governance_queries.detailed(newest))
    return dict(sorted(found.items()))


def _check(run: CheckRunRow, judged: Sequence[RequirementResult]) -> Check:
    shown = [row for row in run.measurements if "=" not in row.slice and row.metric != "attribution"]
    limits = _limits(run.check, shown, judged)
    return Check(
        run,
        words.sentence(run.check),
        tuple(
            Measured(
                *model_pages.measurement(row),
                counted=words.number(row.n) if row.n else "",
                method=row.method,
                limit=limits.get(row.value, "") if row.value is not None else "",
            )
            for row in shown[:_MOST_MEASUREMENTS]
        ),
        len(run.measurements) - min(len(shown), _MOST_MEASUREMENTS),
    )


def _limits(check: str, shown: Sequence[MeasurementRow], judged: Sequence[RequirementResult]) -> Mapping[float, str]:
    """Return the limits on what a check measured, by value: a requirement names no metric, and shows the value that it judged.

    A value shown more than once could be any of them, and gets no limit. Those of single groups are not asked: the lowest of a
    feature's ratios is also its parity ratio.
    """
    seen = Counter(row.value for row in shown)
    found: dict[float, str] = {}
    for each in judged:
        known = isinstance(each.value, (int, float)) and not isinstance(each.value, bool)
        if known and each.evidence == check and each.limit is not None and seen[float(each.value or 0)] == 1:
            sign = words.limit_sign(each.limit_is)
            found[float(each.value or 0)] = f"{sign} {words.number(each.limit)}, {each.policy}/{each.id}".strip()
    return found


def _decided(each: DecisionHistory) -> Decided:
    request = each.request
    return Decided(
        reference=request.reference,
        id=request.id,
        title=review.title(request),
        status=words.request(request.state, request.kind),
        asked_by=request.requested_by_name,
        asked_at=request.created_at,
        reason=request.reason,
        subject_digest=request.subject_digest,
        policies=tuple(each.policies),
        reviews=tuple(GivenReview(row, words.verdict(row.verdict)) for row in each.reviews),
        decisions=tuple(each.decisions),
    )


def _latest(
    row: VersionDetail, runs: Mapping[str, CheckRunRow], decided: Sequence[DecisionHistory], moved: Sequence[datetime]
) -> datetime:
    moments = [row.created_at, *moved]
    moments += [run.finished_at for run in runs.values() if run.finished_at]
    moments += [review.created_at for each in decided for review in each.reviews]
    moments += [decision.decided_at for each in decided for decision in each.decisions]
    return max(moments)
