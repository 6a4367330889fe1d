"""What the page of a promotion request shows: the verdict in words and numbers, the evidence, the people, the next act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString

from governance.gate import RequirementResult
from governance.queries import CheckRunRow, FindingRow
from interfaces.web import charts
from interfaces.web.pages import evidence, timeline, words
from interfaces.web.pages.lineage import explore
from interfaces.web.pages.words import Status
from workflows.queries.requests import Eligibility, RequestPage, RequestRow, ReviewRow

_ORDER = {"fail": 0, "run": 1, "wait": 2, "waive": 3, "pass": 4}
_TICKS = {"pass": 0, "waive": 1, "run": 2, "fail": 3, "wait": 4}
_TALLY_WORDS = {"fail": "failed", "run": "running", "wait": "waiting", "waive": "waived", "pass": "passed"}
APPROVALS = "approvals"
_BROKEN = ("error", "timed_out", "cancelled")


@dataclass(frozen=True)
class Requirement:
    """One row of the requirements table."""

    anchor: str
    status: Status
    title: str
    reason: str
    how: str
    value: str
    limit: str
    champion: str
    position: SafeString | None
    evidence: str
    evidence_href: str
    policy: str
    blocks: bool


@dataclass(frozen=True)
class Ticks:
    """Requirements at a glance."""

    tones: tuple[str, ...]
    label: str
    met: int
    total: int


@dataclass(frozen=True)
class Change:
    what: str
    note: str
    before: str
    after: str
    change: str
    judgement: str = ""
    mono: bool = False


@dataclass(frozen=True)
class Person:
    """Someone in the list of who may decide."""

    name: str
    username: str
    note: str
    status: Status | None
    me: bool
    barred: bool


@dataclass(frozen=True)
class GivenReview:
    name: str
    status: Status
    comment: str
    at: datetime
    digest: str
    stale: bool
    why_not: str
    replaced: bool


@dataclass(frozen=True)
class CheckRow:
    """A check run of the request."""

    anchor: str
    name: str
    role: str
    status: Status
    detail: str
    dataset: str
    digests: tuple[tuple[str, str], ...]
    started_at: datetime | None
    finished_at: datetime | None
    progress: SafeString | None
    ran: str


@dataclass(frozen=True)
class Severe:
    status: Status
    title: str
    where: str
    message: str
    check: str


@dataclass(frozen=True)
class Node:
    icon: str
    title: str
    note: str
    href: str
    look: str = ""


@dataclass(frozen=True)
class Box:
    """The decision box: which of its situations, and what it says in it."""

    kind: str  # decide | signed | stale | barred | waiting | closed
    title: str
    note: str
    tone: str = ""
    reasons: tuple[str, ...] = ()
    waits_on: str = ""
    still_missing: str = ""


@dataclass(frozen=True)
class Review:
    """The page of one request."""

    id: int
    reference: str
    title: str
    model: str
    version: int
    target: str
    status: Status
    state: str
    asked_by: str
    asked_at: datetime
    closed_at: datetime | None
    tier: str
    champion: int | None
    reason: str
    effect: str
    failure: str
    due: str
    due_tone: str
    expires_at: datetime | None
    policies: tuple[tuple[str, int], ...]
    tally: tuple[Status, ...]
    ticks: Ticks
    groups: tuple[tuple[str, tuple[Requirement, ...]], ...]
    changes: tuple[tuple[str, tuple[Change, ...]], ...]
    change_count: int
    unchanged: int
    figures: tuple[evidence.Figure, ...]
    checks: tuple[CheckRow, ...]
    findings: tuple[Severe, ...]
    strip: tuple[Node, ...]
    lineage_href: str
    entries: tuple[timeline.Entry, ...]
    reviews: tuple[GivenReview, ...]
    people: tuple[Person, ...]
    approvals_given: str
    box: Box
    evidence_digest: str
    subject_digest: str
    unfinished: bool
    is_open: bool
    stale: tuple[GivenReview, ...]
    may_withdraw: bool
    may_execute: bool
    may_resubmit: bool
    may_rerun: bool
    decisions: tuple[tuple[str, str, str, datetime], ...]


def review(page: RequestPage, *, me: str, now: datetime) -> Review:
    """Return the page of a request as one person sees it."""
    request = page.request
    rows = requirements(page)
    candidate = {link.run.check: link.run for link in page.checks if link.role == "candidate"}
    champion = {link.run.check: link.run for link in page.checks if link.role == "champion"}
    names = _names(page)
    given = tuple(_given(each, page.evidence_digest) for each in page.reviews)
    changes, unchanged = _changes(page)
    due, tone = words.due(request.expires_at, now) if request.is_open else ("", "")
    return Review(
        id=request.id,
        reference=request.reference,
        title=title(request),
        model=request.model,
        version=request.version,
        target=words.target(request.target_kind, request.target),
        status=_status(request, rows),
        state=request.state,
        asked_by=request.requested_by_name,
        asked_at=request.created_at,
        closed_at=request.closed_at,
        tier=words.sentence(request.risk_tier),
        champion=request.champion,
        reason=request.reason,
        effect=_effect(request),
        failure=request.failure,
        due=due,
        due_tone=tone,
        expires_at=request.expires_at,
        policies=tuple((pin.policy, pin.revision) for pin in page.policies),
        tally=tally(rows),
        ticks=ticks(rows),
        groups=grouped(rows),
        changes=changes,
        change_count=sum(len(group) for _, group in changes),
        unchanged=unchanged,
        figures=evidence.figures(
            candidate,
            champion,
            limits=evidence.limits(page),
            version=f"v{request.version}",
            other=f"v{request.champion}" if request.champion else "",
        ),
        checks=tuple(_check(link.role, link.run, request) for link in page.checks),
        findings=findings(candidate.values()),
        strip=_strip(page, candidate.values()),
        lineage_href=explore(f"model_version:{request.model}/{request.version}"),
        entries=timeline.entries([e for e in page.timeline if e.at >= request.created_at], names=names, me=me),
        reviews=given,
        people=_people(page.people, given, {row.reviewer for row in page.reviews}, page, me),
        approvals_given=_approvals(page.verdict.requirements),
        box=_box(page, rows, me, now),
        evidence_digest=page.evidence_digest,
        subject_digest=request.subject_digest,
        unfinished=any(link.run.state in ("queued", "running") for link in page.checks),
        is_open=request.is_open,
        stale=tuple(each for each in given if each.stale) if request.is_open else (),
        may_withdraw=page.may_withdraw,
        may_execute=page.may_execute,
        may_resubmit=page.may_resubmit,
        may_rerun=request.is_open and page.may_withdraw and any(link.run.state in _BROKEN for link in page.checks),
        decisions=tuple((each.purpose, each.outcome, each.verdict_digest, each.decided_at) for each in page.decisions),
    )


def title(request: RequestRow) -> str:
    """Return what is asked for, as a heading."""
    return f"Promote {request.model} v{request.version} to {words.target(request.target_kind, request.target)}"


def requirements(page: RequestPage) -> tuple[Requirement, ...]:
    """Return the requirements in the policy's order."""
    checks = {APPROVALS, *(link.run.check for link in page.checks)}
    champion = f"v{page.request.champion}" if page.request.champion else ""
    return tuple(requirement(result, f"v{page.request.version}", champion, checks) for result in page.verdict.requirements)


def requirement(result: RequirementResult, version: str, champion: str, checks: set[str]) -> Requirement:
    """Return one requirement as a row; checks: those whose evidence is on the same page, with APPROVALS if people are."""
    status = words.requirement(result.state.value, result.kind)
    sign = words.limit_sign(result.limit_is)
    known = result.limit is not None
    people = result.kind == "approval"
    places = 0 if _counted(result) else 3
    value = words.number(result.value, places) if result.value is not None else ""
    limit = f"{sign} {words.number(result.limit, places)}".strip() if known else ""
    if people and isinstance(result.value, int) and isinstance(result.limit, int):
        value, limit = f"{result.value} of {result.limit}", str(result.limit)
    link, href = "", ""
    if people and APPROVALS in checks:
        link, href = "Approvals", f"#{APPROVALS}"
    elif result.evidence in checks:
        link, href = words.sentence(result.evidence), f"#check-{result.evidence}"
    return Requirement(
        anchor=f"r-{result.policy}-{result.id}",
        status=status,
        title=result.title or words.sentence(result.id),
        reason="" if result.reason == "met" or (known and result.reason.startswith("measured ")) else result.reason,
        how=result.how_to_satisfy if status.tone == "fail" else "",
        value=value,
        limit=limit,
        champion=words.number(result.champion, places) if result.champion is not None and champion else "",
        position=_position(result, sign, status, version, champion),
        evidence=link,
        evidence_href=href,
        policy=result.policy,
        blocks=result.blocks,
    )


def tally(rows: Sequence[Requirement]) -> tuple[Status, ...]:
    """Return how many requirements have each status, what blocks first."""
    counts = Counter(row.status.tone for row in rows)
    return tuple(Status(tone, f"{counts[tone]} {_TALLY_WORDS[tone]}") for tone in _ORDER if counts[tone])


def ticks(rows: Sequence[Requirement]) -> Ticks:
    """Return the requirements at a glance, the met ones first."""
    counts = Counter(row.status.tone for row in rows)
    tones = sorted((row.status.tone for row in rows), key=lambda tone: _TICKS[tone])
    label = ", ".join(f"{counts[tone]} {_TALLY_WORDS[tone]}" for tone in _TICKS if counts[tone])
    return Ticks(tuple(tones), label or "no requirement", sum(not row.blocks for row in rows), len(rows))


def findings(runs: Any) -> tuple[Severe, ...]:
    """Return what the checks found, the most severe first."""
    rank = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
    found: list[FindingRow] = [each for run in runs for each in run.findings]
    return tuple(
        Severe(words.severity(each.severity), words.sentence(each.rule), each.location, each.message, words.sentence(each.check))
        for each in sorted(found, key=lambda each: rank.get(each.severity, 5))
    )


def check_row(run: CheckRunRow) -> CheckRow:
    """Return a check run as a row, without a part in a request."""
    length = words.duration(run.finished_at - run.started_at) if run.finished_at and run.started_at else ""
    return CheckRow(
        anchor=f"check-{run.check}",
        name=words.sentence(run.check),
        role="",
        status=words.check(run.state),
        detail=run.error_message or run.progress_text
        if run.state != "completed"
        else words.count_of(len(run.measurements), "measurement"),
        dataset=run.dataset,
        digests=tuple(
            (name, value)
            for name, value in (
                ("Inputs", run.inputs_digest),
                ("Result", run.result_digest),
                ("Content", run.content_digest),
                ("Data set", run.dataset_digest),
            )
            if value
        ),
        started_at=run.started_at,
        finished_at=run.finished_at,
        progress=charts.progress(run.progress, label=f"{run.progress:.0%} done") if run.state == "running" else None,
        ran=", ".join(filter(None, [f"revision {run.check_revision}", run.isolation, f"took {length}" if length else ""])),
    )


def _check(role: str, run: CheckRunRow, request: RequestRow) -> CheckRow:
    row = check_row(run)
    number = f"v{request.version}" if role == "candidate" else f"champion v{request.champion}"
    # Requirements link to the candidate's run; the champion's gets another place.
    anchor = row.anchor if role == "candidate" else f"{row.anchor}-champion"
    return CheckRow(**{**row.__dict__, "role": number, "anchor": anchor})


def _counted(result: RequirementResult) -> bool:
    """Return whether a requirement counts things: then its numbers are shown whole."""
    numbers = [each for each in (result.value, result.limit, result.champion) if each is not None]
    whole = all(isinstance(each, (int, float)) and not isinstance(each, bool) and float(each).is_integer() for each in numbers)
    # 0 and 1 alone may as well be shares, unless nothing at all is allowed.
    return bool(numbers) and whole and (result.limit == 0 or result.value is None or any(each not in (0, 1) for each in numbers))


def _position(result: RequirementResult, sign: str, status: Status, version: str, champion: str) -> SafeString | None:
    value, limit, other = result.value, result.limit, result.champion
    if result.kind == "approval" and isinstance(value, int) and isinstance(limit, int) and limit > 0:
        return charts.pips(value, limit, tone=status.tone, label=f"{value} of {limit} given")
    if isinstance(value, bool) or isinstance(limit, bool):
        return None
    if not isinstance(value, (int, float)) or not isinstance(limit, (int, float)):
        return None
    if _counted(result):
        if result.limit_is == "at_least" and 1 < limit <= 8 and value <= limit:
            return charts.pips(int(value), int(limit), tone=status.tone, label=f"{int(value)}, at least {int(limit)} needed")
        return None
    ring = float(other) if isinstance(other, (int, float)) and not isinstance(other, bool) else None
    side = "meets" if not result.blocks else "does not meet"
    label = f"{version} {words.number(value)} {side} the limit {sign} {words.number(limit)}"
    if ring is not None:
        label += f"; champion {champion} {words.number(other)}"
    return charts.gauge(float(value), float(limit), sign=sign, champion=ring, label=label)


def grouped(rows: Sequence[Requirement]) -> tuple[tuple[str, tuple[Requirement, ...]], ...]:
    """Return the requirements in groups, what blocks first."""
    blocking = sorted((row for row in rows if row.blocks), key=lambda row: _ORDER[row.status.tone])
    met = tuple(row for row in rows if not row.blocks and row.status.word != "Not needed")
    other = tuple(row for row in rows if row.status.word == "Not needed")
    groups = (("Blocking promotion", tuple(blocking)), ("Met", met), ("Not needed for this request", other))
    return tuple((name, group) for name, group in groups if group)


def _status(request: RequestRow, rows: Sequence[Requirement]) -> Status:
    status = words.request(request.state)
    if request.state == "in_review" and any(row.status.tone == "fail" for row in rows):
        return Status("wait", "Open, not ready")
    if request.state == "done":
        return Status("pass", f"Promoted to {words.target(request.target_kind, request.target)}")
    return status


def _effect(request: RequestRow) -> str:
    place = words.target(request.target_kind, request.target)
    takes = f"v{request.version} takes {place}"
    if request.target_kind == "stage" and request.champion:
        rest = f", and v{request.champion} moves to Archived" if request.archive_existing else f", beside v{request.champion}"
    elif request.champion:
        rest = f", which v{request.champion} holds now"
    else:
        rest = ", which no version holds now"
    return f"If approved, {takes}{rest}." if request.is_open else ""


def _given(row: ReviewRow, digest: str) -> GivenReview:
    return GivenReview(
        name=row.reviewer_name,
        status=words.verdict(row.verdict),
        comment=row.comment,
        at=row.created_at,
        digest=row.evidence_digest,
        stale=row.is_latest and not row.counts and row.evidence_digest != digest and row.verdict == "approve",
        why_not=row.why_not,
        replaced=not row.is_latest,
    )


def _names(page: RequestPage) -> dict[str, str]:
    names = {person.username: person.display_name for person in page.people}
    names |= {row.reviewer: row.reviewer_name for row in page.reviews}
    names[page.request.requested_by] = page.request.requested_by_name
    return names


def _people(
    people: Sequence[Eligibility], given: Sequence[GivenReview], reviewed: set[str], page: RequestPage, me: str
) -> tuple[Person, ...]:
    latest = {row.reviewer: each for row, each in zip(page.reviews, given, strict=True) if row.is_latest}
    shown = []
    for person in people:
        own = latest.get(person.username)
        status = None
        note = ""
        if own is not None:
            status = Status("warn", "Stale") if own.stale else own.status
            note = own.why_not if not own.stale and own.why_not else f"Signed {words.moment(own.at)}"
        elif person.eligible:
            status = Status("wait", "Can review") if page.request.is_open else None
        else:
            note = "; ".join(_without_name(reason, person.username) for reason in person.reasons)
        name = "You" if person.username == me else page_name(page, person)
        shown.append(Person(name, person.username, note, status, person.username == me, not person.eligible))
    return tuple(sorted(shown, key=lambda each: (each.barred, not each.me, each.name)))


def page_name(page: RequestPage, person: Eligibility) -> str:
    """Return the name of a person who may only be known here by what they did."""
    return _names(page).get(person.username) or person.display_name


def _without_name(reason: str, username: str) -> str:
    text = reason.removeprefix(f"{username} ")
    return text[:1].upper() + text[1:]


def _of_you(reason: str, me: str) -> str:
    """Return a reason about an account as said to its owner."""
    rest = reason.removeprefix(f"{me} ")
    if rest == reason:
        return f"{reason[:1].upper()}{reason[1:]}"
    return f"You {rest.replace('does not', 'do not', 1)}"


def _approvals(results: Sequence[RequirementResult]) -> str:
    approvals = [r for r in results if r.kind == "approval" and isinstance(r.value, int) and isinstance(r.limit, int)]
    given = sum(min(int(r.value or 0), int(r.limit or 0)) for r in approvals)
    return f"{given} of {sum(int(r.limit or 0) for r in approvals)} given" if approvals else "none needed"


def _box(page: RequestPage, rows: Sequence[Requirement], me: str, now: datetime) -> Box:
    request = page.request
    place = words.target(request.target_kind, request.target)
    missing = [row.title for row in rows if row.blocks and row.evidence_href != f"#{APPROVALS}"]
    approvals = [
        r
        for r in page.verdict.requirements
        if r.kind == "approval" and r.blocks and isinstance(r.limit, int) and isinstance(r.value, int)
    ]
    after_mine = sum(int(r.limit or 0) - int(r.value or 0) for r in approvals)
    own = next((row for row in reversed(page.reviews) if row.reviewer == me and row.is_latest), None)
    if own is None or not own.counts:
        after_mine -= 1
    if after_mine > 0:
        missing.append(words.count_of(after_mine, "more approval"))
    still = words.listed(missing) if missing else ""
    others = [p.display_name for p in page.people if p.eligible and p.username != me]
    waits = words.listed(others) if others else "nobody who may review; ask a platform admin for a reviewer"
    if not request.is_open:
        when = f"Closed {words.moment(request.closed_at)}." if request.closed_at else ""
        status = _status(request, rows)
        return Box("closed", status.word, when, status.tone)
    if request.state == "approved":
        return Box("waiting", "Approved", f"The gate is satisfied. {place} is given as soon as it has said so once more.", "pass")
    if request.state == "checking":
        return Box("waiting", "Checks are running", "The request opens for review when they are finished.", "run")
    if request.state == "changes_requested":
        return Box("waiting", "Changes were asked for", f"It waits on {request.requested_by_name}.", "warn")
    if own is not None and own.counts:
        word = words.verdict(own.verdict).word
        return Box(
            "signed",
            f"You {word[:1].lower()}{word[1:]}",
            f"{words.moment(own.created_at)}, on evidence {words.short(own.evidence_digest)}.",
            words.verdict(own.verdict).tone,
            still_missing=still,
        )
    if not page.me.eligible:
        return Box(
            "barred",
            "You cannot decide this",
            "Who had a part in the work never counts." if any("role" not in r for r in page.me.reasons) else "",
            reasons=tuple(_of_you(reason, me) for reason in page.me.reasons),
            waits_on=waits,
        )
    due = (
        f"Expires {words.moment(request.expires_at)}, {words.duration(request.expires_at - now)} left"
        if request.expires_at
        else ""
    )
    if own is not None and own.evidence_digest != page.evidence_digest:
        return Box(
            "stale",
            "Your review is stale",
            "The evidence changed after you signed. Look again and sign again.",
            "warn",
            still_missing=still,
        )
    return Box("decide", "Your decision", due, still_missing=still)


def _changes(page: RequestPage) -> tuple[tuple[tuple[str, tuple[Change, ...]], ...], int]:
    """Return what differs between champion and candidate by kind, and how much does not."""
    if not page.champion.present:
        return (), 0
    before, after = page.champion, page.candidate
    groups: list[tuple[str, list[Change]]] = []
    same = 0
    metrics: list[Change] = []
    for key in sorted(before.measurements.keys() | after.measurements.keys(), key=lambda k: ("[" in k, k)):
        old, new = before.measurements.get(key), after.measurements.get(key)
        either = new or old
        if either is None or "=" in either.slice or either.metric == "attribution" or either.metric.startswith("explainability."):
            continue  # groups and features have their own figures
        change, judgement = words.judged_change(either.metric, old.value if old else None, new.value if new else None)
        if change == "no change":
            same += 1
            continue
        name = words.metric(either.metric) + (f", {either.slice}" if either.slice else "")
        note = f"{either.n:,} rows" if either.n else ""
        metrics.append(
            Change(
                name,
                note,
                words.number(old.value) if old else "none",
                words.number(new.value) if new else "none",
                change,
                judgement,
            )
        )
    groups.append(("Measurements on the same data", metrics))
    params, same_params = _differences(page.champion_params, page.candidate_params)
    groups.append((f"Parameters of the run, {len(params)} of {len(params) + same_params} differ", params))
    card, same_card = _differences(
        {k: f"{len(v.split())} words" for k, v in before.card.items()},
        {k: f"{len(v.split())} words" for k, v in after.card.items()},
    )
    content: list[Change] = []
    if before.digest != after.digest:
        content.append(
            Change(
                "Content of the model",
                "",
                words.short(before.digest) or "none",
                words.short(after.digest) or "none",
                "differs",
                mono=True,
            )
        )
    if before.size_bytes != after.size_bytes:
        content.append(Change("Size", "", words.size(before.size_bytes), words.size(after.size_bytes), "differs"))
    if before.signature != after.signature:
        content.append(
            Change(
                "Signature",
                "",
                "on file" if before.signature else "absent",
                "on file" if after.signature else "absent",
                "differs",
            )
        )
    if before.flavors != after.flavors:
        content.append(Change("Flavours", "", ", ".join(before.flavors) or "none", ", ".join(after.flavors) or "none", "differs"))
    groups += [("Content", content), ("Model card", card)]
    return tuple((name, tuple(rows)) for name, rows in groups if rows), same + same_params + same_card


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[list[Change], int]:
    rows, same = [], 0
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            same += 1
            continue
        change = "added" if old is None else "removed" if new is None else _difference(old, new)
        rows.append(Change(key, "", "absent" if old is None else old, "absent" if new is None else new, change, mono=True))
    return rows, same


def _difference(old: str, new: str) -> str:
    try:
        change = float(new) - float(old)
    except ValueError:
        return "differs"
    return f"{words.MINUS if change < 0 else '+'}{abs(change):g}"


def _strip(page: RequestPage, runs: Any) -> tuple[Node, ...]:
    request = page.request
    here = f"model_version:{request.model}/{request.version}"
    datasets = sorted({run.dataset for run in runs if run.dataset})
    nodes = [Node("dataset", name, "evaluation data", explore(here)) for name in datasets[:1]]
    if page.candidate.run_owner:
        nodes.append(Node("run_node", "Training run", f"by {page.candidate.run_owner}", explore(here)))
    version = reverse("web:version", args=[request.model, request.version])
    held = request.from_stage if request.from_stage not in ("", "None") else "no stage"
    nodes.append(Node("model", f"{request.model} v{request.version}", f"{held} when asked", version, "on"))
    soon = "" if request.state == "done" else "soon"
    note = (
        "given"
        if request.state == "done"
        else f"after approval; v{request.champion} now"
        if request.champion
        else "after approval"
    )
    nodes.append(
        Node("stage", words.target(request.target_kind, request.target), note, reverse("web:model", args=[request.model]), soon)
    )
    return tuple(nodes)
