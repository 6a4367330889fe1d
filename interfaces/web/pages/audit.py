"""What the audit log shows: events in words, one event in full, and what a verification found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from governance.ledger import LedgerReport
from governance.queries import AuditEventRow, LedgerHead
from interfaces.web.pages import words
from interfaces.web.pages.words import Status

_TONES = {
    "promotion.approved": "pass",
    "promotion.executed": "pass",
    "promotion.rejected": "fail",
    "promotion.failed": "fail",
    "promotion.changes_requested": "warn",
    "access.refused": "fail",
}
_VERDICT_TONES = {"approve": "pass", "reject": "fail", "request_changes": "warn"}
# The groups offered in the filter, by the beginning of an event's name.
GROUPS = (
    ("promotion", "Requests and decisions"),
    ("check", "Checks"),
    ("stage", "Stages"),
    ("alias", "Aliases"),
    ("version", "Versions"),
    ("model", "Models"),
    ("policy", "Policies"),
    ("binding", "Bindings"),
    ("card", "Model cards"),
    ("dataset", "Data sets"),
    ("user", "Accounts"),
    ("token", "Tokens"),
    ("access", "Access"),
    ("run", "Runs"),
    ("experiment", "Experiments"),
)


@dataclass(frozen=True)
class Line:
    """One event in the list."""

    id: int
    at: datetime
    actor: str
    status: Status | None
    action: str
    subject: str
    href: str
    what: str
    leaf: str
    position: int | None


@dataclass(frozen=True)
class Whole:
    """One event in full."""

    id: int
    body: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Seal:
    """The ledger as far as it is known now: sequenced, or verified just now."""

    tone: str
    icon: str
    title: str
    text: str
    facts: tuple[tuple[str, str, bool], ...]
    problems: tuple[str, ...]


def lines(events: Sequence[AuditEventRow]) -> tuple[Line, ...]:
    """Return events as rows."""
    return tuple(_line(event) for event in events)


def whole(event: AuditEventRow) -> Whole:
    """Return one event with everything that is hashed."""
    facts = [("Event", f"{event.id:,}"), ("Request", event.request_id or "none"), ("Scope", event.scope or "none")]
    facts.append(("Place in the ledger", "not sequenced yet" if event.position is None else f"{event.position:,}"))
    if event.leaf_hash:
        facts.append(("Leaf hash", event.leaf_hash))
    return Whole(event.id, json.dumps(event.body, indent=2, ensure_ascii=False, sort_keys=True), tuple(facts))


def head(found: LedgerHead) -> Seal:
    """Return the seal before anybody verified: what the newest checkpoint says, no more."""
    if not found.size:
        return Seal("wait", "wait", "Nothing is sealed yet", "Events get their place in the ledger within a minute.", (), ())
    return Seal(
        "wait",
        "seal",
        f"{found.size:,} entries sealed",
        "Not verified on this page yet. Verifying reads every entry and computes the hash tree anew.",
        (
            ("Tree size", f"{found.size:,} entries", False),
            ("Root hash", found.root_hash, True),
            ("Newest checkpoint", words.moment(found.created_at) if found.created_at else "none", False),
            ("Without a place yet", words.count_of(found.pending, "event"), False),
        ),
        (),
    )


def verified(report: LedgerReport, at: datetime) -> Seal:
    """Return the seal as a verification found it."""
    facts = tuple((name, value, mono) for name, value, mono in _report_facts(report))
    if report.intact:
        return Seal(
            "pass",
            "seal",
            "Log verified, no gaps",
            f"Every entry hashes into the tree below, and the tree extends every checkpoint. Checked {words.moment(at, seconds=True)}.",
            facts,
            (),
        )
    return Seal(
        "fail",
        "fail",
        "The log does not verify",
        f"{words.count_of(len(report.problems), 'entry', 'entries')} do not match what was sealed. Checked {words.moment(at, seconds=True)}. "
        "Decide nothing on this log; tell the platform admins and internal audit, and keep the database as it is.",
        facts,
        tuple(_problem(problem) for problem in report.problems[:20]),
    )


def _report_facts(report: LedgerReport) -> list[tuple[str, str, bool]]:
    return [
        ("Tree size", f"{report.size:,} entries", False),
        ("Root hash", report.root_hash or "none", True),
        ("Checkpoints", f"{report.checkpoints:,}", False),
        ("Without a place yet", words.count_of(report.pending, "event"), False),
    ]


def _problem(problem: Any) -> str:
    return f"{problem.message}"


def _line(event: AuditEventRow) -> Line:
    tone = _TONES.get(event.action, "")
    action = words.sentence(event.action)
    after = event.body.get("after") or {}
    if event.action == "promotion.reviewed":
        tone = _VERDICT_TONES.get(str(after.get("verdict")), "")
        action = (
            words.verdict(str(after["verdict"])).word
            if after.get("verdict") in ("approve", "request_changes", "reject", "abstain")
            else action
        )
    subject, href = _subject(event)
    return Line(
        id=event.id,
        at=event.occurred_at,
        actor=event.actor,
        status=Status(tone, action) if tone else None,
        action=action,
        subject=subject,
        href=href,
        what=_what(event),
        leaf=f"{event.leaf_hash[:4]}\u2026{event.leaf_hash[-4:]}" if event.leaf_hash else "",
        position=event.position,
    )


def _subject(event: AuditEventRow) -> tuple[str, str]:
    kind, identity = event.subject_type, event.subject_id
    if kind == "promotion_request" and identity.isdigit():
        return f"REQ-{identity}", reverse("web:request", args=[int(identity)])
    if kind == "model_version":
        name, _, number = identity.rpartition("/")
        if name and number.isdigit():
            return f"{name} v{number}", reverse("web:version", args=[name, int(number)])
    if kind in ("registered_model", "model") and identity:
        return identity, reverse("web:model", args=[identity]) if event.action != "model.deleted" else ""
    if kind == "policy" and identity:
        return identity, reverse("web:policy", args=[identity])
    # Ids without a page are told apart by their beginning; the event in full has all of it.
    return f"{words.sentence(kind)} {identity if len(identity) <= 24 else identity[:8] + chr(0x2026)}".strip(), ""


def _what(event: AuditEventRow) -> str:
    """Return what changed in one line: the values after, beside those before where both are known."""
    before, after = event.body.get("before") or {}, event.body.get("after") or {}
    details = event.body.get("details") or {}
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    parts = []
    for key, value in {**after, **details}.items():
        if str(value).startswith("sha256:") or key in ("decision", "inputs", "result", "request_id"):
            continue
        if key in before and before[key] != value and not isinstance(value, (dict, list)):
            parts.append(f"{words.sentence(key)} {_plain(before[key])} \u2192 {_plain(value)}")
        elif value not in (None, "", [], {}):
            parts.append(f"{words.sentence(key)} {_plain(value)}")
    return "; ".join(parts[:4])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value[:4]) + (" and more" if len(value) > 4 else "")
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in list(value.items())[:3])
    text = str(value).replace("_", " ") if str(value).replace("_", "").isalpha() else str(value)
    return text if len(text) <= 90 else text[:89] + "\u2026"
