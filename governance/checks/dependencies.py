"""Which packages a model asks for, what is known against them, and under which licences they come; without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from governance.checks.base import SEVERITIES, CheckError, Finding, Measurement, Result, Table
from governance.checks.subject import Subject

if TYPE_CHECKING:
    from governance.checks.inventory.advisories import Advisories
    from governance.checks.inventory.components import Component, Inventory
    from governance.checks.inventory.files import Reading
    from governance.checks.inventory.licences import Licences

COMPONENTS = "components"
_MOST_FINDINGS = 500
_NO_ADVISORIES = "not measured: no list of advisories was given"
_NO_CHOICE = "not judged: no allowed licences were given"


@dataclass(frozen=True)
class Dependencies:
    """Review what requirements.txt, conda.yaml and python_env.yaml ask for: pins, known vulnerabilities, licences.

    Packages that they need in turn are not seen, so pin all of them. `dependencies.components` counts packages,
    `dependencies.unpinned` those without an exact version and the requirements that name none; `dependencies.vulnerable`
    counts advisories on pinned packages by severity, "" for all; `dependencies.licences_unknown` and
    `dependencies.licences_refused` count packages. They are None when nothing was asked or a file could not be read. The
    table `components` is what `governance.checks.bom` makes a CycloneDX document of.
    Raises MissingInput without a model or a data set that is named, MissingColumn, and CheckError for a licence that SPDX
    does not know; whatever is wrong with the model's files is a finding.
    """

    name: ClassVar[str] = "dependencies"
    revision: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    needs_dataset: ClassVar[bool] = False
    asks_model: ClassVar[bool] = False

    advisories: str = field(
        default="",
        metadata={
            "dataset": True,
            "description": "Data set with the columns package, id, severity, affected (PEP 440: <2.31.0,>=2.0), summary.",
        },
    )
    licences: str = field(
        default="",
        metadata={
            "dataset": True,
            "description": "Data set with the columns package, version (or empty), licence (SPDX); else what is installed.",
        },
    )
    allowed_licences: tuple[str, ...] = field(
        default=(), metadata={"description": "SPDX identifiers; none means that licences are not judged."}
    )

    def run(self, subject: Subject) -> Iterator[Result]:
        """Yield the findings, the worst first, then the counts and the table of components."""
        from governance.checks.inventory import advisories, components, files, licences  # the catalogue is read without them

        reading = files.read(subject.model_dir)
        inventory = components.collect(reading.entries)
        known = advisories.read(subject.other(self.advisories), self.advisories) if self.advisories else None
        stated = licences.read(subject.other(self.licences), self.licences) if self.licences else licences.Licences()
        subject.progress(0.3, "Comparing the components")
        review = _Review(self._allowed(), bool(self.licences), known, stated)
        for component in inventory.components:
            review.look_at(component)
        findings = [*reading.findings, *inventory.findings, *review.findings]
        findings.sort(key=lambda each: (-SEVERITIES.index(each.severity), each.location, each.rule, each.message))
        yield from findings[:_MOST_FINDINGS]
        yield from review.measurements(reading, inventory)
        columns = ("name", "version", "purl", "licence", "source", "advisories")
        yield Table(COMPONENTS, "What the model asks to be installed", columns, tuple(review.rows))

    def _allowed(self) -> frozenset[str]:
        from governance.checks.inventory import spdx

        try:
            return spdx.choice(self.allowed_licences)
        except ValueError as cause:
            raise CheckError("invalid_parameters", f"Parameter 'allowed_licences': {cause}.") from cause


class _Review:
    """Collects findings and rows, component by component."""

    def __init__(self, allowed: frozenset[str], listed: bool, advisories: Advisories | None, licences: Licences) -> None:
        self._allowed = allowed
        self._asked = bool(allowed) or listed
        self._advisories = advisories
        self._licences = licences
        self._counts: Counter[str] = Counter()
        self.findings = [*(advisories.findings if advisories else ()), *licences.findings]
        self.rows: list[tuple[str, ...]] = []

    def look_at(self, component: Component) -> None:
        """Judge one component and write its row."""
        found = list(self._advisories.on(component)) if self._advisories else []
        hits = [(identifier, finding) for identifier, finding in found if finding.rule == "vulnerable"]
        self._counts.update(finding.severity for _, finding in hits)
        self.findings += (finding for _, finding in found)
        licence = self._licences.of(component)
        self.findings += self._judged(component, licence)
        advisories = ", ".join(sorted(identifier for identifier, _ in hits))
        self.rows.append((component.name, component.version, component.purl, licence, component.places, advisories))

    def _judged(self, component: Component, licence: str) -> Iterator[Finding]:
        from governance.checks.inventory import spdx

        if not licence:
            self._counts["unknown"] += 1
            if self._asked:
                message = f"The licence of {component.title} is not known. State it in the data set of licences."
                yield Finding("unknown-licence", "low", component.places, message)
        elif self._allowed and not spdx.satisfied(licence, self._allowed):
            self._counts["refused"] += 1
            message = f"{component.title} comes under {licence}; allowed are {', '.join(sorted(self._allowed))}."
            yield Finding("licence-not-allowed", "high", component.places, message)

    def measurements(self, reading: Reading, inventory: Inventory) -> Iterator[Measurement]:
        """Yield the counts; each rests on all components that could be read."""
        total = len(inventory.components)
        unpinned = sum(each.is_open for each in inventory.components) + inventory.nameless + _unnamed(reading)
        yield Measurement(
            "dependencies.components", float(total), method="count of what could be read" if reading.gap else "count"
        )
        yield _count("dependencies.unpinned", unpinned, total, reading.gap)
        gap = self._gap(inventory) or reading.gap
        for severity in ("", *SEVERITIES):
            value = self._counts[severity] if severity else sum(self._counts[each] for each in SEVERITIES)
            yield _count("dependencies.vulnerable", value, total, gap, severity)
        yield _count("dependencies.licences_unknown", self._counts["unknown"], total, reading.gap)
        yield _count(
            "dependencies.licences_refused", self._counts["refused"], total, reading.gap if self._allowed else _NO_CHOICE
        )

    def _gap(self, inventory: Inventory) -> str:
        """Return why the list of advisories cannot be relied on, or ""."""
        if self._advisories is None:
            return _NO_ADVISORIES
        if self._advisories.may_miss(inventory.components):
            return "not known: rows of the list of advisories could not be read, and may be about these packages"
        return ""


def _unnamed(reading: Reading) -> int:
    return sum(each.rule == "unreadable-requirement" for each in reading.findings)


def _count(metric: str, value: int, total: int, gap: str, slice: str = "") -> Measurement:
    return Measurement(metric, None if gap else float(value), slice, n=total, method=gap or "count")
