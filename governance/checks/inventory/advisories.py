"""Set components against a list of advisories.

Sources: PEP 440, "Version specifiers"; OSV schema, "Evaluation" (what is fixed in a version is affected below it in the
order of versions, pre-releases included).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from governance.checks.base import SEVERITIES, Finding, Severity
from governance.checks.inventory.components import Component, shown
from governance.checks.inventory.tables import Row, rows

if TYPE_CHECKING:
    import pandas as pd
    from packaging.ranges import VersionRange
    from packaging.specifiers import SpecifierSet

_COLUMNS = ("package", "id", "severity", "affected", "summary")
_OPPOSITE = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "==", "~=": "not ~=", "===": "not ==="}


@dataclass(frozen=True)
class Advisory:
    """One row of the list: the versions of a package that something is known against. package: normalised (PEP 503)."""

    package: str
    id: str
    severity: Severity
    affected: SpecifierSet
    summary: str


@dataclass(frozen=True)
class Advisories:
    """The list by package. unreadable: the packages of rows that could not be read, "" for one whose package is not clear."""

    by_package: Mapping[str, Sequence[Advisory]]
    findings: tuple[Finding, ...]
    unreadable: frozenset[str]

    def may_miss(self, components: Iterable[Component]) -> bool:
        """Tell whether a row that could not be read may be about one of the components."""
        return "" in self.unreadable or any(each.name in self.unreadable for each in components)

    def on(self, component: Component) -> Iterator[tuple[str, Finding]]:
        """Yield (id, finding) for each advisory that the component is affected by, or may be if its version is open.

        The list names projects of PyPI; a conda package of the same name holds the same code and is judged alike.
        """
        by_id: dict[str, list[Advisory]] = defaultdict(list)
        for each in self.by_package.get(component.name, ()):
            by_id[each.id].append(each)
        for identifier, parts in by_id.items():
            hit = [each for each in parts if _is_affected(component, each)]
            possible = [each for each in parts if _may_be_affected(component, each)]
            remedy = f"Not affected: {outside(parts)}."
            if hit:
                severity = max((each.severity for each in hit), key=SEVERITIES.index)
                message = f"{component.title} has {identifier}: {_about(hit)} {remedy}"
                yield identifier, Finding("vulnerable", severity, component.places, message)
            elif possible:
                message = f"{component.title} may come in a version that has {identifier}: {_about(possible)} {remedy}"
                yield identifier, Finding("possibly-vulnerable", "low", component.places, message)


def read(frame: pd.DataFrame, name: str) -> Advisories:
    """Return the list in a data set with the columns package, id, severity, affected and summary, one range a row.

    severity: one of SEVERITIES. affected: specifiers of PEP 440, all of which hold, such as `<2.31.0,>=2.0`. summary may be
    empty. A row that cannot be read is a finding `unreadable-advisory`. Raises MissingColumn.
    """
    by_package: dict[str, list[Advisory]] = defaultdict(list)
    findings: list[Finding] = []
    unreadable = set()
    for row in rows(frame, name, _COLUMNS, "the advisories"):
        try:
            advisory = _advisory(row)
        except ValueError as cause:
            unreadable.add(row.package)
            findings.append(Finding("unreadable-advisory", "medium", row.place, f"This row protects nobody: {cause}."))
        else:
            by_package[advisory.package].append(advisory)
    return Advisories(by_package, tuple(findings), frozenset(unreadable))


def _advisory(row: Row) -> Advisory:
    """Return the advisory in a row. Raises ValueError that says what is wrong with it."""
    from packaging.specifiers import InvalidSpecifier

    severity = next((each for each in SEVERITIES if each == row["severity"].lower()), None)
    if not row.package:
        raise ValueError(f"{shown(row['package'])} is not the name of a package")
    if not row["id"]:
        raise ValueError("it has no id")
    if severity is None:
        raise ValueError(f"the severity is {shown(row['severity'])} instead of one of {', '.join(SEVERITIES)}")
    if not row["affected"]:
        raise ValueError("it names no versions; >=0 means all of them")
    try:
        return Advisory(row.package, row["id"], severity, _specifiers(row["affected"]), row["summary"])
    except InvalidSpecifier as cause:
        raise ValueError(f"{shown(row['affected'])} is not a range of versions as PEP 440 writes them") from cause


@lru_cache(4096)
def _specifiers(text: str) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(text)


def _is_affected(component: Component, advisory: Advisory) -> bool:
    exact = component.exact
    return exact is not None and _range(str(advisory.affected)).contains(exact, prereleases=True)


def _may_be_affected(component: Component, advisory: Advisory) -> bool:
    if component.version and component.exact is None:
        return True  # its place in the order is not known
    affected = _range(str(advisory.affected))
    return any(not (each.allowed.to_range() & affected).is_empty for each in component.mentions)


@lru_cache(4096)
def _range(affected: str) -> VersionRange:
    """Return the versions in a range by their order alone.

    `<2.0` leaves 2.0rc1 out and `>1.0` leaves 1.0.post1 out as PEP 440 has it, since nobody asks for those; whoever has
    them installed all the same is affected by what was repaired in 2.0 or broken after 1.0.
    """
    from packaging.ranges import VersionRange

    versions = VersionRange.full()
    for each in _specifiers(affected):
        if each.operator in ("<", ">"):
            versions &= ~_specifiers(f"{_OPPOSITE[each.operator]}{each.version}").to_range()
        else:
            versions &= _specifiers(str(each)).to_range()
    return versions


def outside(parts: Sequence[Advisory]) -> str:
    """Return in words which versions are in none of the ranges: one that misses a specifier of each (De Morgan)."""
    ranges = sorted({" or ".join(sorted(_OPPOSITE[each.operator] + each.version for each in part.affected)) for part in parts})
    return ranges[0] if len(ranges) == 1 else " and ".join(f"({each})" if " or " in each else each for each in ranges)


def _about(parts: Sequence[Advisory]) -> str:
    ranges = " and ".join(sorted({str(each.affected) for each in parts}))
    summaries = " ".join(dict.fromkeys(each.summary.rstrip(".") + "." for each in parts if each.summary))
    return f"versions {ranges} are affected. {summaries}".rstrip()
