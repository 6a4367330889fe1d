"""Turn requirements as they are written into components: a name, an exact version or a range, and a package URL.

Sources: PEP 508 (pip's requirements), PEP 440 (versions), PEP 503 (names), conda's "Package match specifications", and the
types `pypi` and `conda` of the package URL specification (ECMA-427).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from governance.checks.base import Finding
from governance.checks.inventory.files import Entry

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_LONGEST = 1000
_PLACES = 5
_INSTALLERS = frozenset({"pip", "setuptools", "wheel"})
_LEADS_ELSEWHERE = ("--index-url", "--pypi-url", "--extra-index-url", "--find-links", "--editable")
_ARCHIVES = (
    *(".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma"),
    ".conda",
)
_CONDA = re.compile(r"(?:(?P<channel>[\w.-]+)(?:/[\w-]+)?::)?(?P<name>\w[\w.-]*)(?P<rest>(?:\s|[=<>!~]).*)?\Z", re.ASCII)
_CONDA_VERSION = re.compile(
    r"(?P<operator>==?)?\s*(?P<version>\w[\w.!+-]*?)(?P<any>\.?\*)?(?:[=\s]\s*(?P<build>[\w.*-]+))?\Z", re.ASCII
)


@dataclass(frozen=True)
class Mention:
    """One place that asks for a package.

    name: normalised (PEP 503). version: "" without an exact pin. allowed: the versions that may be installed (PEP 440).
    purl: "" for what comes from an address. marker: when it is wanted (PEP 508), "" for always. tool: as in Entry.
    """

    name: str
    version: str
    allowed: SpecifierSet
    purl: str
    location: str
    marker: str = ""
    tool: bool = False


@dataclass(frozen=True)
class Component:
    """One package in one version, or in none yet, with all places that ask for it: at least one."""

    name: str
    version: str
    purl: str
    mentions: tuple[Mention, ...]

    @property
    def places(self) -> str:
        """Where it was named, at most five places."""
        return places(each.location for each in self.mentions)

    @property
    def title(self) -> str:
        """How to call it in a sentence."""
        return f"{self.name} {self.version}".rstrip()

    @cached_property
    def exact(self) -> Version | None:
        """The pinned version, or None for no pin and for one that is no version of PEP 440, which cannot be compared."""
        return _version(self.version)

    @property
    def is_open(self) -> bool:
        """Whether its version is left open. Not so what MLflow itself names without one, in order to install the rest."""
        return not self.version and not (self.name in _INSTALLERS and all(each.tool for each in self.mentions))


@dataclass(frozen=True)
class Inventory:
    """The components by name and version, what was found on the way, and how many requirements name none."""

    components: tuple[Component, ...]
    findings: tuple[Finding, ...]
    nameless: int


def collect(entries: Iterable[Entry]) -> Inventory:
    """Return what the requirements ask for; what they need in turn is not followed.

    A requirement counts whatever its marker says, since where the model will run is not known. Findings: `unpinned`,
    `direct-reference`, `unreadable-requirement`, `conflicting-pins`.
    """
    mentions: list[Mention] = []
    findings: list[Finding] = []
    nameless = set()
    for entry in entries:
        mention, found = _conda(entry) if entry.conda else _pip(entry)
        if mention is not None:
            mentions.append(mention)
        elif found:
            nameless.add(entry.text)
        findings += found
    groups: dict[tuple[str, str, str], list[Mention]] = defaultdict(list)
    for each in mentions:
        groups[each.name, each.version, each.purl].append(each)
    components = tuple(Component(*key, tuple(group)) for key, group in sorted(groups.items()))
    findings += (_unpinned(each) for each in components if each.is_open and each.purl)
    findings += _conflicts(mentions)
    return Inventory(components, tuple(findings), len(nameless))


def places(locations: Iterable[str]) -> str:
    """Return the places in one line, at most five of them and how many more there are."""
    known = list(dict.fromkeys(locations))
    more = f" and {len(known) - _PLACES} more" if len(known) > _PLACES else ""
    return ", ".join(known[:_PLACES]) + more


def _unpinned(component: Component) -> Finding:
    allowed = sorted({str(each.allowed) or "any version" for each in component.mentions})
    message = (
        f"{component.name} may be installed in other versions than were tested ({shown(', '.join(allowed))}). Pin it with ==."
    )
    return Finding("unpinned", "low", component.places, message)


def _conflicts(mentions: Iterable[Mention]) -> Iterator[Finding]:
    """Yield a finding for each package that is pinned to a version which another place does not admit.

    Two requirements with different markers may be meant for different machines, and are not set against each other.
    """
    by_name: dict[str, dict[str, list[Mention]]] = defaultdict(lambda: defaultdict(list))
    for each in mentions:
        by_name[each.name][each.marker].append(each)
    for name, by_marker in by_name.items():
        always = by_marker.pop("", [])
        everywhere = _by_text(always)
        for group in [[], *by_marker.values()]:
            asked = everywhere | _by_text(group)
            if not _agree(asked.values()):
                message = f"No version of {name} satisfies all of {shown(' and '.join(sorted(asked)))}."
                yield Finding("conflicting-pins", "medium", places(each.location for each in [*always, *group]), message)
                break


def _by_text(mentions: Iterable[Mention]) -> dict[str, SpecifierSet]:
    return {str(each.allowed): each.allowed for each in mentions}


def _agree(asked: Collection[SpecifierSet]) -> bool:
    """Tell whether a version that is pinned somewhere is admitted everywhere; true without a pin.

    One candidate is enough: pins that differ in more than the build exclude each other, and a build (1.0+cpu) sorts last.
    """
    pins = {pin for each in asked for pin in _pins(each)}
    versions = [each for each in map(_version, pins) if each is not None]
    if len(versions) < len(pins):  # such as OpenSSL's 1.1.1w, which fits into no range of PEP 440
        return len(pins) == 1
    return not versions or all(each.contains(max(versions), prereleases=True) for each in asked)


def _pip(entry: Entry) -> tuple[Mention | None, list[Finding]]:
    """Read a line of requirements.txt or an item of a pip section: a requirement of PEP 508 and options of pip."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    text, options = _split(entry.text)
    findings = list(_options(options, entry.location))
    if not text:
        return None, findings
    try:
        requirement = Requirement(text if len(text) <= _LONGEST else "")
    except (InvalidRequirement, RecursionError):
        return None, [*findings, _elsewhere(entry) if _is_address(text) else _unreadable(entry)]
    name = canonicalize_name(requirement.name)
    marker = str(requirement.marker or "")
    if requirement.url:
        return Mention(name, "", SpecifierSet(), "", entry.location, marker, entry.tool), [*findings, _elsewhere(entry)]
    if requirement.name.lower().endswith(_ARCHIVES):  # pip takes such a name for a file if there is one
        return None, [*findings, _elsewhere(entry)]
    version = _pin(requirement.specifier)
    purl = _purl("pypi", name, version)
    return Mention(name, version, requirement.specifier, purl, entry.location, marker, entry.tool), findings


def _split(text: str) -> tuple[str, str]:
    """Return (requirement, options): as for pip, the first word that begins with a dash begins the options."""
    begin = re.search(r"(^|\s)-", text)
    return (text[: begin.start()].strip(), text[begin.start() :].strip()) if begin else (text, "")


def _options(options: str, location: str) -> Iterator[Finding]:
    words = [each.partition("=")[0] for each in options.split() if each.startswith("-")]
    if any(_leads_elsewhere(each) for each in words):
        message = (
            f"{shown(options)} lets packages come from an address, so their names and versions do not say what is installed."
        )
        yield Finding("direct-reference", "high", location, message)
    elif not all(each in ("--hash", "--require-hashes") for each in words):
        message = f"{shown(options)} is an option for pip, which was not followed."
        yield Finding("unreadable-requirement", "medium", location, message)


def _leads_elsewhere(word: str) -> bool:
    # pip accepts the beginning of a long option for the whole, and the value of a short one without a space.
    return word[:2] in ("-e", "-i", "-f") or (len(word) > 2 and any(each.startswith(word) for each in _LEADS_ELSEWHERE))


def _is_address(text: str) -> bool:
    asked = text.partition(";")[0]
    return asked.startswith((".", "~")) or any(sign in asked for sign in ("://", "@", "/", "\\"))


def _conda(entry: Entry) -> tuple[Mention | None, list[Finding]]:
    """Read a match specification of conda: `name`, `name=1.2`, `name==1.2.3`, `name 1.2.3 build`, `channel::name>=1,<2`."""
    from packaging.utils import canonicalize_name

    if len(entry.text) > _LONGEST:
        return None, [_unreadable(entry)]
    if "://" in entry.text or entry.text.startswith((".", "/", "~")) or entry.text.lower().endswith(_ARCHIVES):
        return None, [_elsewhere(entry)]
    parts = _CONDA.match(entry.text)
    allowed = _conda_versions((parts["rest"] or "").strip()) if parts else None
    if parts is None or allowed is None:
        return None, [_unreadable(entry)]
    version = _pin(allowed)
    name = parts["name"].lower()
    purl = _purl("conda", name, version, {"channel": parts["channel"]} if parts["channel"] else {})
    return Mention(canonicalize_name(name), version, allowed, purl, entry.location, tool=entry.tool), []


def _conda_versions(text: str) -> SpecifierSet | None:
    """Return the versions that conda would accept, as PEP 440 writes them; None if they cannot be told.

    `=1.2` is the series 1.2.*, and only `=1.2.3`, as MLflow writes the interpreter, counts as exact: nothing is below it.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    parts = _CONDA_VERSION.match(text)
    try:
        if not parts:
            return SpecifierSet(re.sub(r"\s", "", text))
        version = parts["version"]
        series = parts["any"] or (parts["operator"] == "=" and not parts["build"] and version.count(".") < 2)
        if not series and _version(version) is None:
            return SpecifierSet(f"==={version}")  # such as OpenSSL's 1.1.1w
        return SpecifierSet(f"=={version}.*" if series else f"=={version}")
    except InvalidSpecifier:
        return None


def _pin(allowed: SpecifierSet) -> str:
    """Return the one version that is asked for with == or ===, in its normal form (PEP 440), or "" for none or several."""
    normal = {str(_version(each) or each) for each in _pins(allowed)}
    return normal.pop() if len(normal) == 1 else ""


def _pins(allowed: SpecifierSet) -> set[str]:
    return {each.version for each in allowed if each.operator in ("==", "===") and not each.version.endswith(".*")}


def _version(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def _purl(kind: str, name: str, version: str, qualifiers: Mapping[str, str] | None = None) -> str:
    """Return a package URL. Source: ECMA-427, section "Package-URL components"; each part is percent-encoded."""
    at = f"@{quote(version, safe='')}" if version else ""
    more = "&".join(f"{key}={quote(value, safe='')}" for key, value in sorted((qualifiers or {}).items()))
    return f"pkg:{kind}/{quote(name, safe='')}{at}{'?' + more if more else ''}"


def _elsewhere(entry: Entry) -> Finding:
    message = f"{shown(entry.text)} installs from an address or a path, so name and version do not say what is installed."
    return Finding("direct-reference", "high", entry.location, message)


def _unreadable(entry: Entry) -> Finding:
    message = f"{shown(entry.text)} is not the name and version of a package."
    return Finding("unreadable-requirement", "medium", entry.location, message)


def shown(text: str) -> str:
    """Return a text of a stranger in quotes, at most 200 signs of it, with nothing in it that could steer a screen."""
    return repr(text if len(text) <= 200 else text[:199] + "…")
