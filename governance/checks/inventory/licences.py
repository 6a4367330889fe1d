"""Find out under which licence a component comes, from a list of the organisation or from what is installed here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from governance.checks.base import Finding
from governance.checks.inventory import spdx
from governance.checks.inventory.components import Component, shown
from governance.checks.inventory.tables import Row, rows

if TYPE_CHECKING:
    import pandas as pd
    from packaging.version import Version

_COLUMNS = ("package", "version", "licence")
_NO_LICENCE = "License :: OSI Approved"
# Only classifiers that name one licence. "BSD License" or "Apache Software License" name several, and what those mean must
# not be guessed. Source: PEP 639, appendix "Mapping License Classifiers to SPDX Identifiers".
_CLASSIFIERS = {
    f"License :: OSI Approved :: {name}": identifier
    for name, identifier in {
        "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
        "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
        "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
        "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
        "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
        "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
        "ISC License (ISCL)": "ISC",
        "MIT License": "MIT",
        "MIT No Attribution License (MIT-0)": "MIT-0",
        "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
        "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
        "The Unlicense (Unlicense)": "Unlicense",
        "Universal Permissive License (UPL)": "UPL-1.0",
        "Zero-Clause BSD (0BSD)": "0BSD",
    }.items()
}


@dataclass(frozen=True)
class Stated:
    """What the list says of one package: for one version, or for all of them (None)."""

    version: Version | None
    licence: str


@dataclass(frozen=True)
class Licences:
    """The list by package, or None to look at what is installed here."""

    by_package: Mapping[str, Sequence[Stated]] | None = None
    findings: tuple[Finding, ...] = ()

    def of(self, component: Component) -> str:
        """Return the SPDX expression of a component, "" if it is not known.

        In the list a row for the version goes before rows for all versions; what several rows say holds together (AND).
        """
        if self.by_package is None:
            return installed(component)
        stated = self.by_package.get(component.name, ())
        exact = [each.licence for each in stated if each.version is not None and each.version == component.exact]
        return spdx.all_of(exact or [each.licence for each in stated if each.version is None])


def read(frame: pd.DataFrame, name: str) -> Licences:
    """Return the list in a data set with the columns package, version and licence.

    version: empty for all of them, else a version of PEP 440, with or without == before it. licence: an SPDX expression.
    A row that cannot be read is a finding `unreadable-licence`. Raises MissingColumn.
    """
    by_package: dict[str, list[Stated]] = defaultdict(list)
    findings: list[Finding] = []
    # 1.10 in a column that was read as numbers has become 1.1, another version.
    as_numbers = "version" in frame.columns and frame["version"].dtype.kind == "f"
    for row in rows(frame, name, _COLUMNS, "the licences"):
        try:
            by_package[row.package].append(_stated(row, as_numbers))
        except ValueError as cause:
            findings.append(Finding("unreadable-licence", "medium", row.place, f"This row says nothing: {cause}."))
    return Licences(by_package, tuple(findings))


def _stated(row: Row, as_numbers: bool) -> Stated:
    """Return what a row says. Raises ValueError that says what is wrong with it."""
    from packaging.version import InvalidVersion, Version

    if not row.package:
        raise ValueError(f"{shown(row['package'])} is not the name of a package")
    text = row["version"].removeprefix("==").strip()
    if as_numbers and text and not text.endswith(".0"):
        raise ValueError(f"the version {text} was read as a number, and may have lost a zero; write =={text}")
    try:
        return Stated(Version(text) if text else None, spdx.canonical(row["licence"]))
    except InvalidVersion as cause:
        raise ValueError(f"{shown(text)} is not a version") from cause


def installed(component: Component) -> str:
    """Return the licence in the metadata of the same version of the same project in this environment, "" without either.

    The field License-Expression, else the classifiers if each of them names a licence; what several name holds together.
    """
    if not component.version or not component.purl.startswith("pkg:pypi/"):
        return ""
    try:
        distribution = metadata.distribution(component.name)
        # As pip would take it: a build for a certain machine (1.0+cpu) satisfies ==1.0.
        if not all(each.allowed.contains(distribution.version, prereleases=True) for each in component.mentions):
            return ""
        described = distribution.metadata
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return ""
    for text in described.get_all("License-Expression") or []:
        try:
            return spdx.canonical(text)
        except ValueError:
            return ""
    named = [each for each in described.get_all("Classifier") or [] if each.startswith("License ::") and each != _NO_LICENCE]
    return spdx.all_of([_CLASSIFIERS[each] for each in named]) if all(each in _CLASSIFIERS for each in named) else ""
