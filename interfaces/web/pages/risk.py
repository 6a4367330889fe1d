"""What the registers of waivers, findings and risk tiers show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from django import forms
from django.urls import reverse

from governance.questionnaire import Question
from interfaces.web.pages import words
from interfaces.web.pages.timeline import Entry
from interfaces.web.pages.words import Status
from workflows.queries.risk import FindingDetail, FindingSummary, QuestionnaireRow, TierAssessmentRow, WaiverRow

_WAIVER = {
    "undecided": Status("wait", "Waits for a ruling"),
    "in_force": Status("waive", "In force"),
    "refused": Status("fail", "Refused"),
    "revoked": Status("wait", "Revoked"),
    "expired": Status("wait", "Expired"),
}
_RULED = {
    "approved": ("approved it", "pass", "pass"),
    "refused": ("refused it", "fail", "fail"),
    "revoked": ("ended it before its time", "warn", "warn"),
    "expired": ("Its time ended", "", "wait"),
}
SOURCES = {
    "reviewer": "A person",
    "check": "A check",
    "monitor": "Monitoring",
    "waiver": "A waiver that ended",
    "re_review": "A re-review",
}
_STEPS = {
    "raised": ("put it on record", "warn", "warn"),
    "updated": ("changed it", "", "comment"),
    "closed": ("closed it", "pass", "pass"),
    "reopened": ("opened it again", "fail", "fail"),
}
_RULINGS = {
    "": Status("wait", "Waits for a second person"),
    "confirmed": Status("pass", "Confirmed"),
    "refused": Status("fail", "Refused"),
}
_WHAT = {"severity": "severity", "owner": "owner", "due_on": "due", "version": "seen on version"}


# Waivers.


@dataclass(frozen=True)
class WaiverLine:
    """A waiver in the register. where: the versions it counts for. due: until when, and how pressing that is."""

    row: WaiverRow
    where: str
    status: Status
    due: str
    pressing: str


@dataclass(frozen=True)
class WaiverSection:
    """Waivers of one kind; ``more`` if there are more than are shown."""

    state: str
    title: str
    note: str
    lines: tuple[WaiverLine, ...]
    more: bool = False


def state_word(state: str) -> str:
    """Return what a waiver's state reads as."""
    return _WAIVER[state].word


def waiver_line(row: WaiverRow, now: datetime) -> WaiverLine:
    """Return a waiver as the register shows it."""
    due, pressing = words.due(row.expires_at, now) if row.state in ("in_force", "undecided") else (words.day(row.expires_at), "")
    return WaiverLine(row, f"v{row.version}" if row.version else "every version", _WAIVER[row.state], due, pressing)


def waiver_section(state: str, title: str, note: str, rows: Sequence[WaiverRow], now: datetime, *, most: int) -> WaiverSection:
    """Return a section of the register with at most so many lines."""
    return WaiverSection(state, title, note, tuple(waiver_line(row, now) for row in rows[:most]), len(rows) > most)


def rulings(row: WaiverRow, me: str) -> tuple[Entry, ...]:
    """Return what became of a waiver, from its asking on."""
    asked = Entry(
        who="You" if row.requested_by == me else row.requested_by,
        initials=words.initials(row.requested_by),
        me=row.requested_by == me,
        what="asked for it",
        said="",
        at=row.requested_at,
        tone="",
        icon="ask",
    )
    entries = [asked]
    for ruling in row.rulings:
        what, tone, icon = _RULED[ruling.verdict]
        entries.append(_entry(ruling.by, me, what, ruling.comment, ruling.at, tone, icon))
    return tuple(entries)


# Findings.


@dataclass(frozen=True)
class FindingLine:
    """A finding in the register."""

    row: FindingSummary
    severity: Status
    status: Status
    source: str
    due: str
    pressing: str


def finding_line(row: FindingSummary) -> FindingLine:
    """Return a finding as the register shows it."""
    due, pressing = "none", ""
    if row.due_on is not None:
        due = words.day(datetime.combine(row.due_on, time.min, UTC))
        if row.overdue:
            due, pressing = f"{due}, late", "late"
    status = Status("pass", "Closed") if row.status == "closed" else Status("warn", "Open")
    return FindingLine(row, words.severity(row.severity), status, SOURCES[row.source], due, pressing)


def steps(row: FindingDetail, me: str) -> tuple[Entry, ...]:
    """Return the life of a finding, oldest first."""
    entries = []
    for step in row.steps:
        what, tone, icon = _STEPS[step.action]
        if step.action == "updated":
            changes = [
                f"{word} from {step.before.get(key) or 'none'} to {step.after.get(key) or 'none'}"
                for key, word in _WHAT.items()
                if step.before.get(key) != step.after.get(key)
            ]
            what = f"changed {words.listed(changes)}"
        if step.action == "raised":
            what = f"put it on record as {step.after.get('severity', row.severity)}"
        if step.check_run is not None:
            what += f", shown by check run {str(step.check_run)[:8]}"
        entries.append(_entry(step.by, me, what, step.comment, step.at, tone, icon))
    return tuple(entries)


def _entry(who: str, me: str, what: str, said: str, at: datetime, tone: str, icon: str) -> Entry:
    if not who:
        return Entry("", "", False, what[:1].upper() + what[1:], said, at, tone, icon)
    return Entry("You" if who == me else who, words.initials(who), who == me, what, said, at, tone, icon)


# Tiers.


@dataclass(frozen=True)
class Choice:
    """An answer that can be chosen. points: with their unit, and the tier it raises to."""

    value: str
    label: str
    points: str
    chosen: bool


@dataclass(frozen=True)
class Asked:
    """A question of the form, with what was chosen and what was wrong with that."""

    id: str
    text: str
    help: str
    choices: tuple[Choice, ...]
    error: str


def asked(form: forms.Form, questions: Iterable[Question]) -> tuple[Asked, ...]:
    """Return the questions of a questionnaire with what the form holds."""
    found = []
    for question in questions:
        field = form[question.id]
        errors = field.errors
        choices = tuple(
            Choice(choice.value, choice.label, _points(choice.points, choice.at_least), field.value() == choice.value)
            for choice in question.choices
        )
        found.append(Asked(question.id, question.text, question.help, choices, str(errors[0]) if errors else ""))
    return tuple(found)


def _points(points: int, at_least: str | None) -> str:
    text = words.count_of(points, "point").replace("-", words.MINUS)
    return f"{text}, at least {at_least}" if at_least else text


@dataclass(frozen=True)
class AssessmentLine:
    """An assessment of a model's tier. proposal: the ruling on another tier, none if nobody proposed one."""

    row: TierAssessmentRow
    tier: str
    scored: str
    proposed: str
    proposal: Status | None
    newest: bool


def assessments(rows: Sequence[TierAssessmentRow]) -> tuple[AssessmentLine, ...]:
    """Return the assessments of a model, newest first."""
    return tuple(
        AssessmentLine(
            row=row,
            tier=words.sentence(row.tier),
            scored=words.sentence(row.scored_tier),
            proposed=words.sentence(row.override_tier),
            proposal=_RULINGS[row.ruling] if row.override_tier else None,
            newest=number == 0,
        )
        for number, row in enumerate(rows)
    )


@dataclass(frozen=True)
class QuestionnaireLine:
    """A questionnaire in the list. tiers: from how many points each begins."""

    row: QuestionnaireRow
    status: Status
    tiers: str


def questionnaire_line(row: QuestionnaireRow) -> QuestionnaireLine:
    """Return a questionnaire as the list shows it."""
    names = ("low", "medium", "high")
    tiers = ", ".join(f"{name} from {start}" for name, start in zip(names, row.thresholds, strict=True))
    status = Status("pass", f"Published, v{row.number}") if row.number else Status("wait", "Not published")
    return QuestionnaireLine(row, status, tiers.replace("-", words.MINUS))


@dataclass(frozen=True)
class Tab:
    title: str
    href: str
    current: bool


def tabs(current: str, *, reads_policies: bool) -> tuple[Tab, ...]:
    """Return the tabs of the risk registers."""
    places = [("Waivers", "web:waivers"), ("Findings", "web:findings")]
    if reads_policies:
        places.append(("Questionnaires", "web:questionnaires"))
    return tuple(Tab(title, reverse(name), name == f"web:{current}") for title, name in places)
