"""The page of a request as one person sees it, put together from its stories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from interfaces.web import figures
from interfaces.web.figures import Figure
from interfaces.web.pages import timeline, words
from interfaces.web.pages.lineage import explore
from interfaces.web.pages.review import changes as differences
from interfaces.web.pages.review import checks, decision, people, requirements
from interfaces.web.pages.review import discussion as talk
from interfaces.web.pages.review.changes import Change, Measure
from interfaces.web.pages.review.checks import CheckRow, Node, OpenFinding, Severe
from interfaces.web.pages.review.decision import Acts, Box
from interfaces.web.pages.review.discussion import Discussion
from interfaces.web.pages.review.people import Barred, GivenReview, Step
from interfaces.web.pages.review.requirements import PolicyBlock, Requirement, Ticks
from interfaces.web.pages.words import Status
from workflows.queries.deciding import Deciding
from workflows.queries.requests import RequestPage, RequestRow


@dataclass(frozen=True)
class Review:
    """The page of one request. blocks: policy by policy; rail and strip go by those that can block."""

    id: int
    reference: str
    title: str
    kind: str
    model: str
    version: int
    target: str
    status: Status
    state: str
    asked_by: str
    asked_at: datetime
    closed_at: datetime | None
    valid_until: datetime | None
    tier: str
    champion: int | None
    reason: str
    effect: str
    failure: str
    hold: str
    due: str
    due_tone: str
    expires_at: datetime | None
    policies: tuple[tuple[str, int, Status], ...]
    tally: tuple[Status, ...]
    warnings: int
    ticks: Ticks
    blocks: tuple[PolicyBlock, ...]
    blocking: tuple[Requirement, ...]
    since_mine: tuple[Change, ...]
    reviewed_at: datetime | None
    changes: tuple[tuple[str, tuple[Change, ...]], ...]
    change_count: int
    unchanged: int
    figures: tuple[Figure, ...]
    checks: tuple[CheckRow, ...]
    measures: tuple[Measure, ...]
    card: tuple[tuple[str, str, str], ...]
    findings: tuple[Severe, ...]
    open_findings: tuple[OpenFinding, ...]
    strip: tuple[Node, ...]
    lineage_href: str
    entries: tuple[timeline.Entry, ...]
    reviews: tuple[GivenReview, ...]
    stale: tuple[GivenReview, ...]
    steps: tuple[Step, ...]
    barred: tuple[Barred, ...]
    approvals_given: str
    discussion: Discussion
    box: Box
    acts: Acts
    evidence_digest: str
    subject_digest: str
    address: str
    unfinished: bool
    is_open: bool
    decisions: tuple[tuple[str, str, str, datetime], ...]


def review(page: RequestPage, around: Deciding, *, me: str, now: datetime) -> Review:
    """Return the page of a request."""
    request = page.request
    names = _names(page, around)
    shown = _rows(page, around, names)
    enforced = [row for row in shown if row.mode == "enforce"]
    status = decision.status(request, enforced)
    given = people.reviews(page, names=names, me=me)
    mine = next((row for row in reversed(page.reviews) if row.reviewer == me and row.is_latest), None)
    changes, unchanged = differences.since_champion(page)
    candidate = {link.run.check: link.run for link in page.checks if link.role == "candidate"}
    champion = {link.run.check: link.run for link in page.checks if link.role == "champion"}
    due, tone = words.due(request.expires_at, now) if request.is_open else ("", "")
    approved, asked = people.approvals(page.verdict.requirements)
    return Review(
        id=request.id,
        reference=request.reference,
        title=title(request),
        kind=words.kind(request.kind),
        model=request.model,
        version=request.version,
        target=words.target(request.target_kind, request.target),
        status=status,
        state=request.state,
        asked_by=request.requested_by_name,
        asked_at=request.created_at,
        closed_at=request.closed_at,
        valid_until=request.valid_until,
        tier=words.sentence(request.risk_tier),
        champion=request.champion,
        reason=request.reason,
        effect=_effect(request),
        failure=request.failure,
        hold=request.hold,
        due=due,
        due_tone=tone,
        expires_at=request.expires_at,
        policies=tuple((pin.policy, pin.revision, words.mode(pin.mode)) for pin in page.policies),
        tally=requirements.tally(enforced),
        warnings=sum(not row.passes for row in shown if row.mode == "warn"),
        ticks=requirements.ticks(enforced),
        blocks=requirements.blocks(shown, page.policies),
        blocking=tuple(row for row in enforced if row.blocks),
        since_mine=differences.since_review(mine.changes) if mine is not None else (),
        reviewed_at=mine.created_at if mine is not None else None,
        changes=changes,
        change_count=sum(len(group) for _, group in changes),
        unchanged=unchanged,
        figures=figures.figures(
            candidate,
            champion,
            limits=figures.limits(page),
            version=f"v{request.version}",
            other=f"v{request.champion}" if request.champion else "",
        ),
        checks=checks.check_rows(page),
        measures=differences.measures(page),
        card=tuple((words.sentence(section), text, f"card:{section}") for section, text in page.candidate.card.items()),
        findings=checks.findings(candidate.values()),
        open_findings=checks.open_findings(around.findings, version=request.version, names=names),
        strip=checks.strip(page),
        lineage_href=explore(f"model_version:{request.model}/{request.version}"),
        entries=timeline.entries([e for e in page.timeline if e.at >= request.created_at], names=names, me=me),
        reviews=given,
        stale=tuple(each for each in given if each.stale) if request.is_open else (),
        steps=people.steps(page, around, names=names, me=me, now=now),
        barred=people.barred(page, me),
        approvals_given=f"{approved} of {asked} given" if asked else "none needed",
        discussion=talk.discussion(around.threads, page, shown, names=names, me=me, now=now),
        box=decision.box(page, around, shown, names=names, me=me, now=now, status=status),
        acts=Acts(
            withdraw=page.may_withdraw or page.may_submit,
            execute=page.may_execute,
            resubmit=page.may_resubmit,
            submit=page.may_submit,
            rerun=request.is_open and page.may_withdraw and any(link.run.state in checks.BROKEN for link in page.checks),
            rebase=decision.rebase(around.rebase),
        ),
        evidence_digest=page.evidence_digest,
        subject_digest=request.subject_digest,
        address=request.address,
        unfinished=any(link.run.state in ("queued", "running") for link in page.checks),
        is_open=request.is_open,
        decisions=tuple((each.purpose, each.outcome, each.verdict_digest, each.decided_at) for each in page.decisions),
    )


def title(request: RequestRow) -> str:
    """Return what is asked for, as a heading."""
    place = words.target(request.target_kind, request.target)
    if request.kind == "rollback":
        return f"Roll {request.model} back to v{request.version} in {place}"
    if request.kind == "re_review":
        return f"Review {request.model} v{request.version} in {place} again"
    return f"Promote {request.model} v{request.version} to {place}"


def _rows(page: RequestPage, around: Deciding, names: Mapping[str, str]) -> Sequence[Requirement]:
    found = {requirements.APPROVALS, *(link.run.check for link in page.checks)}
    champion = f"v{page.request.champion}" if page.request.champion else ""
    rows = []
    for result in page.verdict.requirements:
        row = requirements.requirement(result, f"v{page.request.version}", champion, found)
        rows.append(replace(row, about=f"requirement:{row.policy}/{row.id}") if result.kind == "evidence" else row)
    rows = requirements.told_apart(requirements.with_waivers(rows, around.waivers, around.waivable, names))
    said = talk.counted(around.threads)
    rows = [replace(row, said=said.get(row.about, 0)) for row in rows]
    return [_unmeasured(row) for row in rows] if page.request.state == "draft" else rows


def _unmeasured(row: Requirement) -> Requirement:
    """Return a draft's requirement; one without evidence is no error yet, since its checks run when it is asked."""
    if row.state not in ("error", "pending"):
        return row
    waiting = Status("wait", "Waiting")
    return replace(row, state="waiting", status=waiting, reason="Measured when it is asked", how="", may_waive=False)


def _names(page: RequestPage, around: Deciding) -> Mapping[str, str]:
    """Return the display names of everybody on the page."""
    names = dict(around.names)
    names |= {comment.author: comment.author_name for thread in around.threads for comment in thread.comments}
    names |= {person.username: person.display_name for person in page.people}
    names |= {row.reviewer: row.reviewer_name for row in page.reviews}
    names[page.request.requested_by] = page.request.requested_by_name
    return names


def _effect(request: RequestRow) -> str:
    if not request.is_open and request.state != "draft":
        return ""
    place = words.target(request.target_kind, request.target)
    if request.kind == "re_review":
        return f"If approved, v{request.version} stays in {place}."
    takes = f"v{request.version} {'returns to' if request.kind == 'rollback' else 'takes'} {place}"
    if request.target_kind == "stage" and request.champion:
        rest = f", and v{request.champion} moves to Archived" if request.archive_existing else f", beside v{request.champion}"
    elif request.champion:
        rest = f", which v{request.champion} holds now"
    else:
        rest = ", which no version holds now"
    return f"If approved, {takes}{rest}."
