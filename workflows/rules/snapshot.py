"""What a reviewer had before them, part by part, and how two such snapshots differ. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from core.canonical import digest, text_digest
from governance.facts import WORKER, CheckFact, EvidenceFacts, OpenFinding, VersionFacts, WaiverFact

Parts = Mapping[str, Any]

_COMPARED = ("explainability.ranking_shift", "explainability.top_overlap")


@dataclass(frozen=True)
class Change:
    """One part that differs. kind: added | removed | changed."""

    path: str
    kind: str
    before: Any
    after: Any
    material: bool

    def __str__(self) -> str:
        name = self.path.replace("_", " ").replace(".", " ", 1)
        if self.kind != "changed":
            return f"{name} was {self.kind}"
        if _plain(self.before) and _plain(self.after):
            return f"{name} changed from {_shown(self.before)} to {_shown(self.after)}"
        return f"{name} changed"


def parts(
    version: VersionFacts,
    champion: VersionFacts,
    *,
    content: str,
    policies: Iterable[Mapping[str, Any]],
    waivers: Iterable[WaiverFact] = (),
    open_findings: Iterable[OpenFinding] = (),
    apart: Mapping[str, EvidenceFacts] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what is decided on as path -> JSON value: content, policies, champion, measurements, findings, card, waivers.

    What one policy alone sees differently stands below ``apart.BINDING``.

    content: the digest of what is decided on. A measurement's value is ``[value, n, ci_low, ci_high]``. Check runs are told by what they found, not by their ids: evidence
    that was measured again and came out the same is the same evidence.
    """
    found: dict[str, Any] = {"content": content}
    for policy in policies:
        found[f"policies.{policy['binding'] or policy['policy']}"] = digest(dict(policy))
    found |= _measured("", version)
    if champion.present:
        found["champion"] = [champion.number, champion.digest]
        found |= _measured("champion.", champion)
    found |= _findings(version)
    found |= {f"card.{section}": text_digest(text) for section, text in version.card.items()}
    found |= {f"waivers.{w.policy}/{w.requirement}": [w.id, w.expires_at] for w in waivers}
    found |= {f"open_findings.{f.id}": f.severity for f in open_findings}
    for binding, facts in apart.items():
        own = _measured("", facts.version) | _findings(facts.version)
        if champion.present:
            own |= _measured("champion.", facts.champion)
        found |= {f"apart.{binding}.{path}": value for path, value in own.items() if found.get(path) != value}
    return found


def shared_path(path: str) -> str:
    """Return a part's path without the binding that alone sees it so."""
    return path.split(".", 2)[2] if path.startswith("apart.") else path


def differences(before: Parts, after: Parts, *, material: Callable[[str], bool]) -> tuple[Change, ...]:
    """Return what differs, material changes first, each kind by path."""
    changes = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old != new:
            kind = "added" if path not in before else "removed" if path not in after else "changed"
            changes.append(Change(path, kind, old, new, material(path)))
    return tuple(sorted(changes, key=lambda change: not change.material))


def of_comparison(change: Change) -> bool:
    """Return whether a change is in how the version compares with the champion of the time, which is another at another time."""
    path = shared_path(change.path)
    kind, _, name = path.partition(".")
    if kind == "champion" or "/champion-not-measured/" in name:
        return True
    if kind == "measurements":
        metric = name.partition("[")[0]
        return metric.endswith(".difference") or metric in _COMPARED
    # A check's tables hold the comparison too, and what else they show stands in its measurements.
    both = isinstance(change.before, list) and isinstance(change.after, list)
    return kind == "checks" and both and bool(change.before[0] == change.after[0])


def summary(changes: Iterable[Change], most: int = 3) -> str:
    """Return the first few changes in words, and how many more there are."""
    changes = list(changes)
    words = "; ".join(map(str, changes[:most]))
    return f"{words}; and {len(changes) - most} more" if len(changes) > most else words


def _findings(version: VersionFacts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for finding in version.findings:
        path = f"findings.{finding.check}/{finding.rule}/{finding.location}"
        seen[path] += 1
        found[f"{path}#{seen[path]}" if seen[path] > 1 else path] = [finding.severity, text_digest(finding.message)]
    return found


def _measured(prefix: str, version: VersionFacts) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{prefix}measurements.{key}": [m.value, m.n, m.ci_low, m.ci_high] for key, m in version.measurements.items()
    }
    return found | {f"{prefix}checks.{name}": _check(check) for name, check in version.checks.items()}


def _check(check: CheckFact) -> list[str]:
    """Return what stands for a check. What workers measured looks as it did before there were reports, so that older reviews stand."""
    return [check.state, check.tables, *([check.source, check.signed_by] if check.source != WORKER else [])]


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, list) and bool(value) and isinstance(value[0], float))


def _shown(value: Any) -> str:
    number = value[0] if isinstance(value, list) else value
    return f"{number:.4g}"
