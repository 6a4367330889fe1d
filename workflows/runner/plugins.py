"""The packages of checks and judges that are installed beside the interpreter's own, as the measuring process is to see them.

One that is installed in the worker's environment lies in its prefix, which every box has. One that PYTHONPATH leads to does not: of its
folder the box is given what the distributions that bring something own, as their RECORD says (PEP 376), with what they require, and
nothing that lies beside it. What is not installed, such as a checkout, has no RECORD and is not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from governance.checks import catalogue
from governance.checks.texts import judges

_GROUPS = (catalogue.ENTRY_POINT_GROUP, judges.ENTRY_POINT_GROUP)


@cache
def outside() -> Mapping[Path, frozenset[str]]:
    """Return the folders outside of the interpreter's prefixes, each with the names in it that are to be seen."""
    found: dict[Path, frozenset[str]] = {}
    for each in _with_what_they_require():
        folder = Path(str(each.locate_file(""))).resolve()
        if each.read_text("RECORD") is not None and not any(folder.is_relative_to(prefix) for prefix in _prefixes()):
            found[folder] = found.get(folder, frozenset()) | frozenset(_names(each, folder))
    return found


def _prefixes() -> tuple[Path, ...]:
    return (Path(sys.prefix).resolve(), Path(sys.executable).resolve().parents[1], Path("/usr/lib"))


def _names(of: Distribution, folder: Path) -> Iterator[str]:
    """Yield the files and folders of the first level that a distribution owns; programs and the like lie elsewhere, and links are not followed."""
    for top in {Path(str(file)).parts[0] for file in of.files or ()}:
        if top not in ("..", "/") and not top.endswith(".pth") and (folder / top).exists() and not (folder / top).is_symlink():
            yield top


def _with_what_they_require() -> list[Distribution]:
    waiting = [entry.dist for group in _GROUPS for entry in entry_points(group=group) if entry.dist is not None]
    found: dict[str, Distribution] = {}
    while waiting:
        each = waiting.pop()
        if each.name in found:
            continue
        found[each.name] = each
        waiting += _required(each)
    return list(found.values())


def _required(by: Distribution) -> Iterator[Distribution]:
    for line in by.requires or ():
        try:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                yield distribution(wanted.name)
        except (InvalidRequirement, PackageNotFoundError):
            continue  # what is missing shows when the check is imported, with its name
