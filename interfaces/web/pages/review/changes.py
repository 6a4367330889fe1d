"""What differs: between the champion and the candidate, and between what somebody reviewed and what is there now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.facts import Measured, VersionFacts
from interfaces.web.pages import words
from workflows.queries.requests import RequestPage
from workflows.rules.snapshot import Change as SnapshotChange
from workflows.rules.snapshot import shared_path


@dataclass(frozen=True)
class Change:
    """One difference. judgement: better, worse or nothing, as a CSS class. about: what a discussion of it is anchored to."""

    what: str
    note: str
    before: str
    after: str
    change: str
    judgement: str = ""
    mono: bool = False
    about: str = ""
    material: bool = False


@dataclass(frozen=True)
class Measure:
    """One measurement of the candidate beside the champion's."""

    what: str
    value: str
    interval: str
    champion: str
    rows: str
    about: str


Groups = tuple[tuple[str, tuple[Change, ...]], ...]


def since_champion(page: RequestPage) -> tuple[Groups, int]:
    """Return what differs between champion and candidate by kind, and how much does not."""
    if not page.champion.present:
        return (), 0
    before, after = page.champion, page.candidate
    metrics, same = _measurements(before, after)
    params, same_params = _differences(page.champion_params, page.candidate_params)
    card, same_card = _differences(_lengths(before.card), _lengths(after.card))
    groups = [
        ("Measurements on the same data", metrics),
        (f"Parameters of the run, {len(params)} of {len(params) + same_params} differ", params),
        ("Content", _content(before, after)),
        ("Model card", card),
    ]
    return tuple((name, tuple(rows)) for name, rows in groups if rows), same + same_params + same_card


def since_review(changes: Sequence[SnapshotChange]) -> tuple[Change, ...]:
    """Return what changed since somebody reviewed, what matters first."""
    return tuple(_since(change) for change in changes)


def measures(page: RequestPage) -> tuple[Measure, ...]:
    """Return what was measured on the whole data and on features; single groups are in the figures."""
    champion = page.champion.measurements if page.champion.present else {}
    shown = []
    for key, one in sorted(page.candidate.measurements.items(), key=lambda pair: ("[" in pair[0], pair[0])):
        if _in_a_figure(one):
            continue
        interval = (
            f"{words.number(one.ci_low)} to {words.number(one.ci_high)}"
            if one.ci_low is not None and one.ci_high is not None
            else "none"
        )
        other = champion.get(key)
        shown.append(
            Measure(
                what=_title(one),
                value=words.number(one.value),
                interval=interval,
                champion=words.number(other.value) if other else "none",
                rows=f"{one.n:,}" if one.n else "",
                about=f"measurement:{key}",
            )
        )
    return tuple(shown)


def measured_title(key: str) -> str:
    """Return the title of a measurement that requirements name so, such as ``demographic_parity_ratio[sex]``."""
    metric, _, rest = key.partition("[")
    return words.metric(metric) + (f", {rest.rstrip(']')}" if rest else "")


def _in_a_figure(one: Measured) -> bool:
    return "=" in one.slice or one.metric == "attribution" or one.metric.startswith("explainability.")


def _title(one: Measured) -> str:
    return words.metric(one.metric) + (f", {one.slice}" if one.slice else "")


def _measurements(before: VersionFacts, after: VersionFacts) -> tuple[list[Change], int]:
    rows, same = [], 0
    for key in sorted(before.measurements.keys() | after.measurements.keys(), key=lambda k: ("[" in k, k)):
        old, new = before.measurements.get(key), after.measurements.get(key)
        either = new or old
        if either is None or _in_a_figure(either):
            continue
        change, judgement = words.judged_change(either.metric, old.value if old else None, new.value if new else None)
        if change == "no change":
            same += 1
            continue
        rows.append(
            Change(
                what=_title(either),
                note=f"{either.n:,} rows" if either.n else "",
                before=words.number(old.value) if old else "none",
                after=words.number(new.value) if new else "none",
                change=change,
                judgement=judgement,
                about=f"measurement:{key}" if new else "",
            )
        )
    return rows, same


def _content(before: VersionFacts, after: VersionFacts) -> list[Change]:
    rows = [
        ("Content of the model", words.short(before.digest) or "none", words.short(after.digest) or "none", True),
        ("Size", words.size(before.size_bytes), words.size(after.size_bytes), False),
        ("Signature", "on file" if before.signature else "absent", "on file" if after.signature else "absent", False),
        ("Flavours", ", ".join(before.flavors) or "none", ", ".join(after.flavors) or "none", False),
    ]
    differs = [
        before.digest != after.digest,
        before.size_bytes != after.size_bytes,
        before.signature != after.signature,
        before.flavors != after.flavors,
    ]
    return [
        Change(what, "", old, new, "differs", mono=mono)
        for (what, old, new, mono), differ in zip(rows, differs, strict=True)
        if differ
    ]


def _lengths(card: Mapping[str, str]) -> dict[str, str]:
    return {section: words.count_of(len(text.split()), "word") for section, text in card.items()}


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


def _since(change: SnapshotChange) -> Change:
    """Return a part that differs in words. The parts and their values are those of ``workflows.rules.snapshot.parts``."""
    path, champion = shared_path(change.path), ""
    alone = f", for {change.path.split('.')[1]} alone" if path != change.path else ""
    if path.startswith("champion."):
        path, champion = path.removeprefix("champion."), ", of the champion"
    kind, _, name = path.partition(".")
    what, said, word = _PARTS.get(kind, (path.replace("_", " "), _digest, "changed"))
    judged = ("", "")
    if kind == "measurements":
        what = measured_title(name)
        judged = words.judged_change(name.partition("[")[0], _first(change.before), _first(change.after))
    else:
        what = what.format(name=words.sentence(name) if kind == "card" else name.replace("/", ", "))
    return Change(
        what=what + champion + alone,
        note="",
        before="none" if change.kind == "added" else said(change.before),
        after="none" if change.kind == "removed" else said(change.after),
        change=judged[0] if judged[0] and change.kind == "changed" else word if change.kind == "changed" else change.kind,
        judgement=judged[1] if not champion else "",
        material=change.material,
    )


def _first(value: Any) -> float | None:
    return float(value[0]) if isinstance(value, list) and value and isinstance(value[0], (int, float)) else None


def _digest(value: Any) -> str:
    return words.short(value) if isinstance(value, str) else str(value)


def _number(value: Any) -> str:
    first = _first(value)
    n = value[1] if isinstance(value, list) and len(value) > 1 else None
    return f"{words.number(first)}{f', {n:,} rows' if isinstance(n, int) else ''}"


def _champion(value: Any) -> str:
    return f"v{value[0]}" if isinstance(value, list) and value else str(value)


def _state(value: Any) -> str:
    return str(value[0]).replace("_", " ") if isinstance(value, list) and value else str(value)


def _until(value: Any) -> str:
    return f"until {str(value[1])[:10]}" if isinstance(value, list) and len(value) > 1 else str(value)


def _there(value: Any) -> str:
    return "on file"


# What each kind of part is called, how its value reads, and what is said of one that changed.
_PARTS: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "content": ("Content of the model", _digest, "differs"),
    "policies": ("Policy of the binding {name}", _digest, "moved on"),
    "champion": ("Champion", _champion, "another one"),
    "measurements": ("", _number, "measured anew"),
    "checks": ("Check {name}", _state, "ended otherwise"),
    "findings": ("Finding {name}", _state, "differs"),
    "card": ("Model card, {name}", _there, "rewritten"),
    "waivers": ("Waiver of {name}", _until, "another one"),
    "open_findings": ("Open finding {name}", str, "differs"),
}
