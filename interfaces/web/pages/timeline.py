"""Audit events in sentences: who did what, with an icon and a tone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from governance.models import MEASURED
from interfaces.web.pages import words
from workflows.queries.requests import TimelineEntry

SYSTEM_NAME = "countersign"


@dataclass(frozen=True)
class Entry:
    """One line of a timeline: a person's face, or an icon for what the system did."""

    who: str
    initials: str
    me: bool
    what: str
    said: str
    at: datetime
    tone: str
    icon: str


# What is written for each event, with the icon and tone of its dot. {…} are fields of the event.
_SENTENCES: dict[str, tuple[str, str, str]] = {
    "promotion.drafted": ("drafted this request", "", "ask"),
    "promotion.requested": ("asked to promote v{version} to {target}", "acc", "ask"),
    "promotion.rebased": ("moved the request to the policies in force: {policies}", "acc", "rule"),
    "promotion.checks_started": ("started the checks again", "", "run"),
    "promotion.reopened": ("The evidence changed after the approval; the request is in review again", "warn", "warn"),
    "promotion.ready_for_review": ("Checks finished; the request is open for review", "", "rule"),
    "promotion.approved": ("The gate is satisfied; the request is approved", "pass", "pass"),
    "promotion.executing": ("began to carry it out", "", "run"),
    "promotion.executed": ("carried it out", "pass", "pass"),
    "promotion.rejected": ("The request is rejected", "fail", "fail"),
    "promotion.changes_requested": ("The request waits on changes", "warn", "warn"),
    "promotion.resubmitted": ("answered the reviewers", "acc", "ask"),
    "promotion.withdrawn": ("withdrew the request", "", "wait"),
    "promotion.expired": ("The request expired; a time-out never approves", "", "wait"),
    "promotion.superseded": ("The request was superseded", "", "wait"),
    "promotion.failed": ("It could not be carried out", "fail", "fail"),
    "task.claimed": ("took on the review for {group}", "", "comment"),
    "task.released": ("gave back the review for {group}", "", "comment"),
    "task.escalated": ("Nobody decided in time; it was escalated", "warn", "warn"),
    "thread.resolved": ("resolved a discussion", "pass", "comment"),
    "thread.reopened": ("took a discussion up again", "", "comment"),
    "comment.edited": ("changed a comment", "", "comment"),
    "comment.deleted": ("deleted a comment", "", "comment"),
    "check.queued": ("{check} was queued on v{version}", "", "wait"),
    "check.reported": ("reported {check} on v{version}", "", "wait"),
    "check.cancelled": ("{check} was cancelled", "", "wait"),
}
_REVIEWS = {
    "approve": ("approved", "pass", "pass"),
    "request_changes": ("asked for changes", "warn", "warn"),
    "reject": ("rejected", "fail", "fail"),
    "abstain": ("abstained", "", "wait"),
}
_ASKED = {"rollback": "asked to roll back to v{version} in {target}", "re_review": "asked to review v{version} in {target} again"}
# What stands in the discussion on the same page.
_ELSEWHERE = ("thread.opened", "comment.added")
_SAID = ("reason", "comment", "failure")


def entries(events: Sequence[TimelineEntry], *, names: Mapping[str, str], me: str) -> tuple[Entry, ...]:
    """Return a request's events, oldest first, without what stands in its discussion.

    names: account -> display name.
    """
    return tuple(_entry(event, names, me) for event in _folded([each for each in events if each.action not in _ELSEWHERE]))


def _folded(events: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """Return the events with neighbours of one kind about checks as one: who reads a request looks for what people did."""
    folded: list[TimelineEntry] = []
    for event in events:
        last = folded[-1] if folded else None
        if last is not None and _kind(event) is not None and _kind(event) == _kind(last):
            after = {**last.after, "checks": [*_checks(last), *_checks(event)]}
            folded[-1] = replace(event, after=after)
        else:
            folded.append(event)
    return folded


def _kind(event: TimelineEntry) -> tuple[str, object] | None:
    if event.action == "check.queued":
        return event.action, ""
    if event.action == "check.finished" and event.after.get("state") in MEASURED:
        return event.action, ""
    return None


def _checks(event: TimelineEntry) -> list[str]:
    one = f"{words.sentence(str(event.after.get('check', 'check')))} on v{event.after.get('version', '')}"
    return list(event.after.get("checks") or [one])


def _entry(event: TimelineEntry, names: Mapping[str, str], me: str) -> Entry:
    what, tone, icon = _sentence(event, names)
    by_system = event.actor == SYSTEM_NAME or not what[:1].islower()
    who = "" if by_system else "You" if event.actor == me else names.get(event.actor, event.actor)
    # Events of discussions give the comment's number under that name. What it says stands in the discussion, until it is deleted.
    said = next((text for key in _SAID if isinstance(text := event.after.get(key), str) and text), "")
    if by_system:
        what = what[:1].upper() + what[1:]
    return Entry(
        who=who,
        initials="" if by_system else words.initials(names.get(event.actor, event.actor)),
        me=event.actor == me,
        what=what,
        said=said,
        at=event.at,
        tone=tone,
        icon=icon,
    )


def _sentence(event: TimelineEntry, names: Mapping[str, str]) -> tuple[str, str, str]:
    after = event.after
    if event.action == "promotion.reviewed":
        return _reviewed(after, names)
    if len(many := list(after.get("checks") or [])) > 1:
        past = "queued" if event.action == "check.queued" else "measured"
        tone = "" if event.action == "check.queued" else "pass"
        return f"{len(many)} checks were {past}: {words.listed(many)}", tone, tone or "wait"
    if event.action == "check.finished":
        return _finished(after)
    text, tone, icon = _SENTENCES.get(event.action, (words.sentence(event.action.partition(".")[2] or event.action), "", "rule"))
    if event.action == "promotion.requested":
        text = _ASKED.get(str(after.get("kind")), text)
    kind, _, name = str(after.get("target", "")).partition(":")
    fields: dict[str, Any] = {
        "version": after.get("version", ""),
        "target": words.target(kind, name),
        "check": words.sentence(str(after.get("check", "check"))),
        "group": after.get("group", ""),
        "policies": words.listed([str(each) for each in after.get("policies") or []]),
    }
    return text.format(**fields), tone, icon


def _reviewed(after: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, str, str]:
    word, tone, icon = _REVIEWS.get(str(after.get("verdict")), ("reviewed", "", "comment"))
    if whose := str(after.get("on_behalf_of") or ""):
        word += f" for {names.get(whose, whose)}"
    if signed := after.get("signature"):
        word += f", signed as {signed['meaning']}"
    digest = after.get("evidence")
    return f"{word}, on evidence {words.short(str(digest))}" if digest else word, tone, icon


def _finished(after: Mapping[str, Any]) -> tuple[str, str, str]:
    name, state = words.sentence(str(after.get("check", "check"))), str(after.get("state", ""))
    on = f" on v{after['version']}" if after.get("version") else ""
    if state in MEASURED:
        return f"{name}{on} was measured", "pass", "pass"
    if state == "skipped":
        return f"{name}{on} was skipped, as it does not fit this model", "wait", "wait"
    return f"{name}{on} ended without a result: {after.get('error') or state.replace('_', ' ')}", "fail", "fail"
