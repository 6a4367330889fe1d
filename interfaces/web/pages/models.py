"""What the pages of models and versions show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from governance.gate import Verdict
from governance.models import MEASURED
from governance.queries import CheckRunRow, MeasurementRow
from interfaces.web.figures import Figure, figures
from interfaces.web.pages import inbox, review, words
from interfaces.web.pages.lineage import explore
from interfaces.web.pages.words import Status
from registry.history import Period
from registry.queries import FileLine, ModelHistory, ModelList, ModelSummary, VersionDetail, VersionHistory
from workflows.queries.grandfathered import GrandfatheredRow
from workflows.queries.operations import EmergencyRow, ReReviewRow
from workflows.queries.requests import RequestRow
from workflows.queries.risk import FindingSummary, ModelTier, WaiverRow

# The sections of a model card after Mitchell et al. 2019, in reading order; others follow by name.
_CARD_ORDER = (
    "model_details",
    "intended_use",
    "out_of_scope",
    "factors",
    "metrics",
    "training_data",
    "evaluation_data",
    "quantitative_analysis",
    "ethical_considerations",
    "limitations",
    "caveats",
    "monitoring_plan",
)


_ASKS = {"promotion": "Promote to", "rollback": "Roll back in", "re_review": "Review again in"}


@dataclass(frozen=True)
class ModelLine:
    """A line of the list of models. owner: a team, else who made it. production: the versions that are there."""

    row: ModelSummary
    owner: str
    production: tuple[int, ...]
    aliases: tuple[tuple[str, int], ...]


def model_lines(found: ModelList) -> list[ModelLine]:
    """Return the lines of the list of models."""
    return [
        ModelLine(
            row,
            row.owner_team or found.people.get(row.created_by, ""),
            tuple(found.production.get(row.name, ())),
            tuple(row.aliases.items()),
        )
        for row in found.models
    ]


@dataclass(frozen=True)
class Guard:
    """A policy that guards a stage or an alias."""

    kind: str
    name: str
    policy: str


@dataclass(frozen=True)
class Rung:
    """A stage of the ladder: who guards it, and which versions hold it."""

    name: str
    guards: tuple[str, ...]
    versions: tuple[tuple[int, tuple[str, ...]], ...]
    more: int
    request: inbox.Row | None


@dataclass(frozen=True)
class VersionLine:
    row: VersionDetail
    by: str
    run: str
    note: str
    request_id: int | None
    status: Status | None


@dataclass(frozen=True)
class Moved:
    """One line of the history of placements."""

    what: str
    version: int
    valid_from: datetime
    valid_to: datetime | None
    by: str
    request_id: int | None
    grandfathered: bool  # given by an import, without a decision of ours


@dataclass(frozen=True)
class Approval:
    """A version that holds a governed place by a request. valid: until when its approval holds, and how pressing that is."""

    where: str
    version: int
    request_id: int
    valid: str
    pressing: str


@dataclass(frozen=True)
class Again:
    """A re-review that is asked for."""

    what: str
    cause: str
    detail: str
    due: str
    pressing: str


@dataclass(frozen=True)
class Emergency:
    """An emergency that is in force or was not looked at since."""

    id: int
    what: str
    status: Status


@dataclass(frozen=True)
class Known:
    """What is known about a model besides its versions. assessed: how its tier came about. findings: the open ones, gravest first."""

    tier: str
    assessed: str
    proposed: str
    findings: tuple[tuple[int, str, Status], ...]
    findings_more: int
    waivers: tuple[tuple[int, str, str, str], ...]
    approvals: tuple[Approval, ...]
    re_reviews: tuple[Again, ...]
    emergencies: tuple[Emergency, ...]
    grandfathered: tuple[tuple[str, int, str], ...]


def known(
    tier: ModelTier,
    *,
    findings: Sequence[FindingSummary],
    waivers: Sequence[WaiverRow],
    holding: Sequence[RequestRow],
    moves: Sequence[Period],
    re_reviews: Sequence[ReReviewRow],
    emergencies: Sequence[EmergencyRow],
    grandfathered: Sequence[GrandfatheredRow],
    now: datetime,
    most: int = 5,
) -> Known:
    """Return what is known about a model. holding: the requests by which versions hold their places."""
    newest = tier.history[0] if tier.history else None
    assessed = "set by hand"
    if newest is not None:
        assessed = f"{words.count_of(newest.score, 'point')}, {newest.questionnaire} v{newest.questionnaire_number}"
    grades = ("critical", "high", "medium", "low", "info")
    gravest = sorted(findings, key=lambda each: grades.index(each.severity))
    return Known(
        tier=words.sentence(tier.tier),
        assessed=assessed,
        proposed=newest.override_tier if newest is not None and not newest.ruling else "",
        findings=tuple((each.id, each.title, words.severity(each.severity)) for each in gravest[:most]),
        findings_more=max(0, len(gravest) - most),
        waivers=tuple(
            (
                each.id,
                f"{each.requirement}, {f'v{each.version}' if each.version else 'every version'}",
                *words.due(each.expires_at, now),
            )
            for each in waivers[:most]
        ),
        approvals=_approvals(holding, moves, now),
        re_reviews=tuple(
            Again(
                f"v{each.version} in {words.target(each.target_kind, each.target)}",
                words.cause(each.cause),
                each.detail,
                *words.due(each.due_at, now),
            )
            for each in re_reviews[:most]
        ),
        emergencies=tuple(
            Emergency(
                each.id,
                f"v{each.version} in {words.target(each.target_kind, each.target)}, {each.incident}",
                words.emergency(each.state),
            )
            for each in emergencies
        ),
        grandfathered=tuple(
            (words.target(each.target_kind, each.target), each.version, each.origin) for each in grandfathered if each.open
        ),
    )


def _approvals(holding: Sequence[RequestRow], moves: Sequence[Period], now: datetime) -> tuple[Approval, ...]:
    by_id = {each.id: each for each in holding}
    found = []
    for move in moves:
        request = by_id.get(move.request_id or 0)
        if move.valid_to is None and request is not None:
            valid, pressing = "valid without end", ""
            if request.valid_until is not None:
                _, pressing = words.due(request.valid_until, now)
                valid = f"{'lapsed on' if pressing == 'late' else 'valid until'} {words.day(request.valid_until)}"
            found.append(Approval(words.target(move.kind, move.place), move.version, request.id, valid, pressing))
    return tuple(found)


@dataclass(frozen=True)
class ModelPage:
    row: ModelSummary
    created_by: str
    tags: tuple[tuple[str, str], ...]
    tier: str
    ladder: tuple[Rung, ...]
    alias_guards: tuple[tuple[str, tuple[str, ...]], ...]
    versions: tuple[VersionLine, ...]
    open_requests: tuple[inbox.Row, ...]
    closed_requests: tuple[inbox.Row, ...]
    history: tuple[Moved, ...]
    load_uri: str
    load_word: str
    lineage_href: str
    newest: int | None
    may_ask: bool


def model_page(
    found: ModelHistory,
    *,
    requests: Sequence[RequestRow],
    guards: Sequence[Guard],
    grandfathered: Sequence[GrandfatheredRow],
    may_ask: bool,
    now: datetime,
) -> ModelPage:
    """Return the page of a registered model."""
    rows = inbox.rows(requests, now)
    opened = [(request, row) for request, row in zip(requests, rows, strict=True) if request.is_open]
    by_version = {request.version: row for request, row in reversed(opened)}
    uri, word = _load(found.model)
    guarded: dict[str, list[str]] = defaultdict(list)
    for guard in guards:
        if guard.kind == "alias":
            guarded[guard.name].append(guard.policy)
    return ModelPage(
        row=found.model,
        created_by=found.people.get(found.model.created_by, ""),
        tags=tuple(found.model.tags.items()),
        tier=words.sentence(found.model.risk_tier),
        ladder=tuple(_rung(stage, found.versions, guards, opened) for stage in found.stages if stage != "None"),
        alias_guards=tuple((name, tuple(policies)) for name, policies in sorted(guarded.items())),
        versions=tuple(_line(row, found, by_version) for row in found.versions),
        open_requests=tuple(row for _, row in opened),
        closed_requests=tuple(row for request, row in zip(requests, rows, strict=True) if not request.is_open)[:10],
        history=history(found.moves, grandfathered),
        load_uri=uri,
        load_word=word,
        lineage_href=explore(f"model_version:{found.model.name}/{found.model.latest}") if found.model.latest else "",
        newest=found.model.latest,
        may_ask=may_ask,
    )


def history(moves: Sequence[Period], undecided: Sequence[GrandfatheredRow] = ()) -> tuple[Moved, ...]:
    """Return who moved what, the latest first. undecided: what an import gave, whether it still holds or not."""

    def brought(move: Period) -> bool:
        return any(
            (row.target_kind, row.target, row.version) == (move.kind, move.place, move.version)
            and move.valid_from <= row.imported_at
            and (move.valid_to is None or row.imported_at < move.valid_to)
            for row in undecided
        )

    return tuple(
        Moved(
            words.target(each.kind, each.place),
            each.version,
            each.valid_from,
            each.valid_to,
            each.assigned_by,
            each.request_id,
            each.request_id is None and brought(each),
        )
        for each in moves
    )


def _rung(
    stage: str, versions: Sequence[VersionDetail], guards: Sequence[Guard], opened: Sequence[tuple[RequestRow, inbox.Row]]
) -> Rung:
    held = [(row.number, tuple(row.aliases)) for row in versions if row.stage == stage]
    request = next((row for found, row in opened if found.target_kind == "stage" and found.target == stage), None)
    return Rung(
        stage,
        tuple(guard.policy for guard in guards if guard.kind == "stage" and guard.name == stage),
        tuple(held[:8]),
        max(0, len(held) - 8),
        request,
    )


def _line(row: VersionDetail, found: ModelHistory, by_version: Mapping[int, inbox.Row]) -> VersionLine:
    by, run = found.people.get(row.created_by, ""), found.runs.get(row.run_id, "")
    request = by_version.get(row.number)
    if request is not None:
        return VersionLine(row, by, run, request.reference, request.id, None)
    if row.status == "FAILED_REGISTRATION":
        return VersionLine(row, by, run, row.status_message, None, Status("fail", "Failed"))
    if row.status == "PENDING_REGISTRATION":
        return VersionLine(row, by, run, "", None, Status("run", "Registering"))
    promoted = next((p for p in found.moves if p.version == row.number and p.place == "Production"), None)
    return VersionLine(row, by, run, f"In Production from {words.day(promoted.valid_from)}" if promoted else "", None, None)


def _load(model: ModelSummary) -> tuple[str, str]:
    """Return the address the mlflow client loads, and what it names."""
    name = model.name
    if "champion" in model.aliases:
        return f"models:/{name}@champion", "the champion"
    if "Production" in model.stages:
        return f"models:/{name}/Production", "the version in Production"
    if model.aliases:
        first = min(model.aliases)
        return f"models:/{name}@{first}", f"@{first}"
    return f"models:/{name}/{model.latest or 1}", f"version {model.latest or 1}"


@dataclass(frozen=True)
class Column:
    """One input or output of a signature."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Target:
    """A governed place that this version could be asked for; ``value`` is what the form sends."""

    value: str
    word: str
    policy: str


Targets = tuple[tuple[str, tuple[Target, ...]], ...]  # what can be asked: promotions, rollbacks, re-reviews


@dataclass(frozen=True)
class VersionPage:
    row: VersionDetail
    created_by: str
    run: str
    files: tuple[FileLine, ...]
    file_count: int
    tags: tuple[tuple[str, str], ...]
    tier: str
    stage: str
    status: Status | None
    flavors: tuple[str, ...]
    python: str
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    card: tuple[tuple[str, str], ...]
    checks: tuple[review.CheckRow, ...]
    figures: tuple[Figure, ...]
    measurements: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...]
    findings: tuple[review.Severe, ...]
    requests: tuple[inbox.Row, ...]
    history: tuple[Moved, ...]
    targets: Targets
    open_elsewhere: tuple[inbox.Row, ...]
    outlook: tuple[tuple[str, tuple[review.Requirement, ...]], ...]
    outlook_tally: tuple[Status, ...]
    outlook_target: str
    outlook_champion: int | None
    strip: tuple[review.Node, ...]
    lineage_href: str
    may_ask: bool


def version_page(
    found: VersionHistory,
    *,
    card: Mapping[str, str],
    checks: Sequence[CheckRunRow],
    requests: Sequence[RequestRow],
    guards: Sequence[Guard],
    verdict: Verdict | None,
    outlook_target: str,
    champion: int | None,
    grandfathered: Sequence[GrandfatheredRow],
    may_ask: bool,
    now: datetime,
    open_elsewhere: Sequence[RequestRow] = (),
) -> VersionPage:
    """Return the page of a model version. checks: newest first; of each check the newest is shown.

    open_elsewhere: requests that are open for other versions of the model.
    """
    row = found.version
    newest: dict[str, CheckRunRow] = {}
    for run in checks:
        if run.check not in newest or (newest[run.check].state not in MEASURED and run.state in MEASURED):
            newest[run.check] = run
    measured = latest_measured(newest.values())
    status = None
    if row.status == "FAILED_REGISTRATION":
        status = Status("fail", "Registration failed")
    elif row.status == "PENDING_REGISTRATION":
        status = Status("run", "Registering")
    requirements = tuple(
        review.requirement(result, f"v{row.number}", f"v{champion}" if champion else "", set(newest))
        for result in (verdict.requirements if verdict else ())
    )
    inputs, outputs = _signature(row.mlmodel)
    return VersionPage(
        row=row,
        created_by=found.people.get(row.created_by, ""),
        run=found.runs.get(row.run_id, ""),
        files=tuple(found.files),
        file_count=found.file_count,
        tags=tuple(row.tags.items()),
        tier=words.sentence(found.risk_tier),
        stage=row.stage if row.stage != "None" else "",
        status=status,
        flavors=tuple(sorted(row.mlmodel.get("flavors") or {})),
        python=str((row.mlmodel.get("flavors") or {}).get("python_function", {}).get("python_version") or ""),
        inputs=inputs,
        outputs=outputs,
        card=card_sections(card),
        checks=tuple(review.check_row(run) for run in newest.values()),
        figures=figures(measured, {}, limits={}, version=f"v{row.number}", other=""),
        measurements=tuple((words.sentence(name), _measured(run)) for name, run in measured.items() if run.measurements),
        findings=review.findings(measured.values()),
        requests=inbox.rows(requests, now),
        history=history(found.moves, grandfathered),
        targets=_targets(found, guards, requests),
        open_elsewhere=inbox.rows(open_elsewhere, now),
        outlook=review.grouped(requirements),
        outlook_tally=review.tally(requirements),
        outlook_target=outlook_target,
        outlook_champion=champion,
        strip=_strip(found),
        lineage_href=explore(f"model_version:{row.model}/{row.number}"),
        may_ask=may_ask,
    )


def latest_measured(runs: Iterable[CheckRunRow]) -> dict[str, CheckRunRow]:
    """Return the newest run of each check that measured something. runs: newest first."""
    found: dict[str, CheckRunRow] = {}
    for run in runs:
        if run.state in MEASURED:
            found.setdefault(run.check, run)
    return found


def _targets(found: VersionHistory, guards: Sequence[Guard], requests: Sequence[RequestRow]) -> Targets:
    """Return what can be asked for this version: what it has not, what it once had, and to keep what it has."""
    row = found.version
    held = {("stage", row.stage)} | {("alias", alias) for alias in row.aliases}
    asked = {(each.target_kind, each.target) for each in requests if each.is_open}
    before = {(move.kind, move.place) for move in found.moves if move.request_id is not None}
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for guard in guards:
        if (guard.kind, guard.name) not in asked:
            places[guard.kind, guard.name].append(guard.policy)
    kinds = {
        "promotion": [place for place in places if place not in held],
        "rollback": [place for place in places if place in before and place not in held],
        "re_review": [place for place in places if place in held],
    }
    groups = (
        (
            _ASKS[kind],
            tuple(
                Target(f"{kind}:{where}:{name}", f"{_ASKS[kind]} {words.target(where, name)}", words.listed(places[where, name]))
                for where, name in chosen
            ),
        )
        for kind, chosen in kinds.items()
    )
    return tuple((name, targets) for name, targets in groups if targets)


def _measured(run: CheckRunRow) -> tuple[tuple[str, str, str, str], ...]:
    """Return the measurements of the whole set and of each feature; single groups are in the figures."""
    rows = []
    for each in run.measurements:
        if "=" in each.slice or each.metric == "attribution":
            continue
        rows.append((*measurement(each), each.method))
    return tuple(rows)


def measurement(row: MeasurementRow) -> tuple[str, str, str]:
    """Return what was measured, its value and its interval in words."""
    known = row.ci_low is not None and row.ci_high is not None
    interval = f"{words.number(row.ci_low)} to {words.number(row.ci_high)}" if known else "none"
    name = words.metric(row.metric) + (f", {row.slice}" if row.slice else "")
    counted = row.value is not None and float(row.value).is_integer() and (abs(row.value) >= 2 or row.method in ("count", "rows"))
    return name, words.number(row.value, 0 if counted else 3), interval


def card_sections(card: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the sections of a card with their titles, in the order people write them in."""
    place = {name: i for i, name in enumerate(_CARD_ORDER)}
    keys = sorted(card, key=lambda key: (place.get(key.lower().replace(" ", "_"), len(place)), key))
    return tuple((words.sentence(key), card[key]) for key in keys)


def _signature(mlmodel: Mapping[str, Any]) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Return the inputs and outputs a model declares, as registration parsed them or as MLmodel has them: JSON within YAML."""
    signature = mlmodel.get("signature") or {}
    return _columns(signature.get("inputs")), _columns(signature.get("outputs"))


def _columns(declared: Any) -> tuple[Column, ...]:
    if isinstance(declared, str):
        try:
            declared = msgspec.json.decode(declared)
        except msgspec.DecodeError:
            return ()
    if not isinstance(declared, list):
        return ()
    shown = []
    for i, column in enumerate(column for column in declared if isinstance(column, dict)):
        kind = column.get("type", "")
        if kind == "tensor":
            spec = column.get("tensor-spec") or {}
            kind = f"{spec.get('dtype', '')} {spec.get('shape', '')}".strip()
        shown.append(Column(str(column.get("name") or f"column {i + 1}"), str(kind), bool(column.get("required", True))))
    return tuple(shown)


def _strip(found: VersionHistory) -> tuple[review.Node, ...]:
    row = found.version
    here = explore(f"model_version:{row.model}/{row.number}")
    nodes = []
    if row.run_id:
        nodes.append(
            review.Node(
                "run_node",
                found.runs.get(row.run_id) or words.short(row.run_id),
                f"by {found.people.get(row.created_by) or 'unknown'}",
                explore(f"run:{row.run_id}"),
            )
        )
    nodes.append(
        review.Node("model", f"{row.model} v{row.number}", words.short(row.content_digest) or "content elsewhere", here, "on")
    )
    if row.stage != "None":
        nodes.append(review.Node("stage", row.stage, "now", here))
    nodes += [review.Node("stage", f"@{alias}", "now", here) for alias in row.aliases]
    return tuple(nodes)
