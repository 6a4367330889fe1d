"""The requirements of a request as rows: what was measured, against which limit, beside the champion, and what would meet it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.safestring import SafeString

from governance.gate import RequirementResult
from interfaces.web import charts
from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from workflows.queries.requests import PinRow
from workflows.queries.risk import WaiverRow

APPROVALS = "approvals"  # where on the page the people are

# What stands first, and how the counts of the strip are called. A requirement that does not apply is not counted.
_COUNTED: tuple[tuple[str, Status], ...] = (
    ("unsatisfied", Status("fail", "failed")),
    ("error", Status("fail", "with an error")),
    ("pending", Status("run", "running")),
    ("waiting", Status("wait", "waiting")),
    ("overridden", Status("waive", "overridden")),
    ("waived", Status("waive", "waived")),
    ("satisfied", Status("pass", "passed")),
)
_RANK = {state: i for i, (state, _) in enumerate(_COUNTED)}
_TICK_ORDER = ("satisfied", "overridden", "waived", "pending", "unsatisfied", "error", "waiting")
_SET_ASIDE = ("waived", "overridden")
_MODE_NOTES = {
    "enforce": "",
    "warn": "Not met, these warn; they block nothing.",
    "shadow": "On trial: only auditors and platform admins see these, and they block nothing.",
}


@dataclass(frozen=True)
class SetAside:
    """The waiver that lets a requirement pass: until when, what reduces the risk meanwhile, and who said so."""

    id: int
    until: datetime
    control: str
    by: str


@dataclass(frozen=True)
class Requirement:
    """One row of the requirements table. state: the gate's, but ``waiting`` for people who are missing.

    about: what a discussion of it is anchored to; empty where nothing can be discussed. may_waive: whether its policy lets
    somebody ask that it is waived.
    """

    anchor: str
    id: str
    state: str
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
    mode: str
    passes: bool
    blocks: bool
    waiver: SetAside | None = None
    may_waive: bool = False
    about: str = ""
    said: int = 0


@dataclass(frozen=True)
class Ticks:
    """Requirements at a glance. met: without those that were waived or overridden."""

    tones: tuple[str, ...]
    label: str
    met: int
    total: int


Groups = tuple[tuple[str, tuple[Requirement, ...]], ...]


@dataclass(frozen=True)
class PolicyBlock:
    """What one policy asks, bound in one way; what is not met first."""

    anchor: str
    policy: str
    revision: int | None
    bindings: tuple[str, ...]
    mode: Status
    note: str
    groups: Groups
    tally: tuple[Status, ...]


def requirement(result: RequirementResult, version: str, champion: str, checks: Collection[str]) -> Requirement:
    """Return one requirement as a row; checks: those whose evidence is on the same page, with APPROVALS if people are."""
    people = result.kind == "approval"
    state = "waiting" if people and result.state.value == "pending" else result.state.value
    status = words.requirement(result.state.value, result.kind)
    sign = words.limit_sign(result.limit_is)
    known = result.limit is not None
    places = 0 if _counted(result) else 3
    value = words.number(result.value, places) if result.value is not None else ""
    limit = f"{sign} {words.number(result.limit, places)}".strip() if known else ""
    if people and isinstance(result.value, int) and isinstance(result.limit, int):
        value, limit = f"{result.value} of {result.limit}", str(result.limit)
    link, href = "", ""
    if people and APPROVALS in checks:
        # An objection is answered where it was said; the places that approvals fill stand elsewhere.
        link, href = ("Approvals", f"#{APPROVALS}") if result.step else ("Reviews", "#reviews")
    elif result.evidence in checks:
        link, href = words.sentence(result.evidence), f"#check-{result.evidence}"
    return Requirement(
        anchor=f"r-{result.policy}-{result.id}",
        id=result.id,
        state=state,
        status=status,
        title=result.title or words.sentence(result.id),
        reason=_reason(result, known),
        how=result.how_to_satisfy if status.tone == "fail" else "",
        value=value,
        limit=limit,
        champion=words.number(result.champion, places) if result.champion is not None and champion else "",
        position=_position(result, sign, status, version, champion),
        evidence=link,
        evidence_href=href,
        policy=result.policy,
        mode=result.mode,
        passes=result.passes,
        blocks=result.blocks,
    )


def with_waivers(
    rows: Iterable[Requirement],
    used: Mapping[str, WaiverRow],
    waivable: Collection[tuple[str, str]],
    names: Mapping[str, str],
) -> list[Requirement]:
    """Return the rows with the waivers they pass by, and with whether a waiver can be asked for.

    used: the waivers by ``policy/requirement``. waivable: (policy, requirement) of what its policy lets people waive.
    """
    found = []
    for row in rows:
        waiver = used.get(f"{row.policy}/{row.id}") if row.state == "waived" else None
        if waiver is not None:
            by = ", ".join(names.get(ruling.by, ruling.by) for ruling in waiver.rulings if ruling.verdict == "approved")
            row = replace(row, waiver=SetAside(waiver.id, waiver.expires_at, waiver.compensating_control, by), reason="")
        stuck = row.state in ("unsatisfied", "error") and row.mode == "enforce"
        found.append(replace(row, may_waive=stuck and (row.policy, row.id) in waivable))
    return found


def told_apart(rows: Iterable[Requirement]) -> list[Requirement]:
    """Return the rows with an anchor each: a policy that two bindings pin gives two of a name."""
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        seen[row.anchor] += 1
        found.append(replace(row, anchor=f"{row.anchor}--{seen[row.anchor]}") if seen[row.anchor] > 1 else row)
    return found


def blocks(rows: Sequence[Requirement], pins: Sequence[PinRow]) -> tuple[PolicyBlock, ...]:
    """Return what each policy asks: those that block before those that warn and those that look on; what is not met first."""
    found = []
    places = dict.fromkeys((row.policy, row.mode) for row in rows)
    for policy, mode in places:
        of_policy = [row for row in rows if (row.policy, row.mode) == (policy, mode)]
        pinned = [pin for pin in pins if (pin.policy, pin.mode) == (policy, mode)]
        found.append(
            PolicyBlock(
                anchor=f"p-{mode}-{policy}",
                policy=policy,
                revision=pinned[0].revision if pinned else None,
                bindings=tuple(pin.binding for pin in pinned if pin.binding),
                mode=words.mode(mode),
                note=_MODE_NOTES[mode],
                groups=grouped(of_policy),
                tally=tally(of_policy),
            )
        )
    order = list(_MODE_NOTES)
    modes = {block.anchor: order.index(mode) for block, (_, mode) in zip(found, places, strict=True)}
    return tuple(sorted(found, key=lambda block: modes[block.anchor]))


def grouped(rows: Sequence[Requirement]) -> Groups:
    """Return the requirements in groups, what blocks first; what was waived or overridden never stands among what is met."""
    unmet = sorted((row for row in rows if not row.passes), key=lambda row: _RANK.get(row.state, len(_RANK)))
    aside = tuple(row for row in rows if row.state in _SET_ASIDE)
    met = tuple(row for row in rows if row.state == "satisfied")
    other = tuple(row for row in rows if row.state == "not_applicable")
    name = "Blocking" if any(row.blocks for row in unmet) else "Not met"
    groups = ((name, tuple(unmet)), ("Waived or overridden", aside), ("Met", met), ("Not needed for this request", other))
    return tuple((name, group) for name, group in groups if group)


def tally(rows: Iterable[Requirement]) -> tuple[Status, ...]:
    """Return how many requirements came out how, what blocks first."""
    counts = Counter(row.state for row in rows)
    return tuple(Status(status.tone, f"{counts[state]} {status.word}") for state, status in _COUNTED if counts[state])


def ticks(rows: Sequence[Requirement]) -> Ticks:
    """Return the requirements at a glance, the met ones first."""
    names = dict(_COUNTED)
    shown = [row for row in rows if row.state in names]
    counts = Counter(row.state for row in shown)
    tones = tuple(names[state].tone for state in _TICK_ORDER for _ in range(counts[state]))
    label = ", ".join(f"{counts[state]} {names[state].word}" for state in _TICK_ORDER if counts[state])
    return Ticks(tones, label or "no requirement", counts["satisfied"], len(shown))


def _reason(result: RequirementResult, known: bool) -> str:
    """Return the gate's reason, without what the numbers beside it say."""
    reason = result.reason
    if known and reason.startswith("measured "):
        reason = reason.partition("; ")[2]
    return "" if reason == "met" else reason[:1].upper() + reason[1:]


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
    side = "meets" if result.state.value == "satisfied" else "does not meet"
    label = f"{version} {words.number(value)} {side} the limit {sign} {words.number(limit)}"
    if ring is not None:
        label += f"; champion {champion} {words.number(other)}"
    return charts.gauge(float(value), float(limit), sign=sign, champion=ring, label=label)
