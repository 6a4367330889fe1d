"""Read the files that tell pip and conda what to install."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning.documents import leaves, shown

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?[<>=!~][^;@/\\]*\)?)?\s*(;[^@/\\]*)?\Z")
_CHANNELS = frozenset({"conda-forge", "defaults", "nodefaults", "pytorch", "nvidia"})
# PEP 263, which pip honours in the first two lines: in another encoding a comment can hold line ends.
_CODING = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_INSTALLERS = frozenset({"pip.conf", "pip.ini", ".pypirc", ".condarc", "condarc", "uv.toml", ".netrc", "_netrc", ".pdbrc"})
_SOURCES = frozenset({"index", "index-url", "extra-index-url", "find-links", "source", "sources", "url", "git", "path"})


def is_requirements(name: str) -> bool:
    """Return whether pip would be given this file."""
    return bool(re.match(r"(requirements|constraints|build_requirements).*\.(txt|in)\Z", name))


def is_settings(name: str) -> bool:
    """Return whether an installer reads its settings from a file of this name."""
    return name in _INSTALLERS


def requirements_findings(text: str, location: str) -> Iterator[Finding]:
    """Yield a finding for each line that is more than the name and version of a package."""
    lines = text.removeprefix("\ufeff").splitlines()
    for line in lines[:2]:
        coding = _CODING.match(line)
        if coding and coding[1].lower().replace("_", "-") not in ("utf-8", "utf8", "ascii", "us-ascii"):
            message = f"pip reads this file as {coding[1]}, in which it can hold other lines than anybody sees here."
            yield Finding("requirement-encoding", "high", location, message)
    for number, line in enumerate(lines, 1):
        requirement = re.sub(r"(^|\s)#.*", "", line).rstrip("\\").strip()
        if requirement and not requirement.startswith("--hash="):
            yield from requirement_findings(re.sub(r"\s--hash=\S+", "", requirement), f"{location}:{number}")


def requirement_findings(requirement: str, location: str) -> Iterator[Finding]:
    """Yield at most one finding on one requirement."""
    name = f"{requirement[:200]!r}"
    if requirement.startswith("-"):
        message = f"{name} is an option for pip: it can change where packages come from."
        yield Finding("requirement-option", "high", location, message)
    elif "://" in requirement or "@" in requirement or requirement.startswith((".", "/", "~", "file:", "git+")):
        message = f"{name} installs from an address or a path, not a version from the package index."
        yield Finding("requirement-address", "high", location, message)
    elif not _REQUIREMENT.match(requirement):
        yield Finding("requirement-form", "medium", location, f"{name} is not the name and version of a package.")


def is_environment(parsed: Any) -> bool:
    """Return whether YAML describes an environment, whatever the file is called: MLmodel may name any."""
    return isinstance(parsed, Mapping) and bool({"dependencies", "channels", "build_dependencies"} & set(map(str, parsed)))


def environment_findings(parsed: Any, location: str) -> Iterator[Finding]:
    """Yield findings on conda.yaml or python_env.yaml: channels, variables, packages, and what is handed to pip."""
    if not isinstance(parsed, Mapping):
        yield Finding("unreadable", "medium", location, "The environment is not a mapping.")
        return
    if parsed.get("variables"):
        message = f"It sets environment variables, {shown(parsed['variables'])}, with which a loader can be made to run code."
        yield Finding("environment-variable", "high", location, message)
    for channel in _listed(parsed.get("channels")):
        if channel not in _CHANNELS:
            message = f"Packages come from the channel {shown(channel)}, which is not a usual one."
            yield Finding("conda-channel", "medium", location, message)
    for dependency in [*_listed(parsed.get("dependencies")), *_listed(parsed.get("build_dependencies"))]:
        if isinstance(dependency, Mapping):
            for requirement in _listed(dependency.get("pip")):
                yield from requirement_findings(str(requirement), location)
        # MLflow writes this very line into python_env.yaml; the file it names is scanned on its own.
        elif dependency != "-r requirements.txt":
            yield from requirement_findings(str(dependency), location)


def project_findings(text: str, location: str) -> Iterator[Finding]:
    """Yield findings on a pyproject.toml: packages from addresses, and settings that say where packages come from."""
    try:
        parsed = tomllib.loads(text)
    except (ValueError, RecursionError) as cause:
        yield Finding("unreadable", "medium", location, f"The TOML cannot be read: {cause}"[:500])
        return
    project = parsed.get("project")
    for requirement in _listed(project.get("dependencies")) if isinstance(project, dict) else []:
        yield from requirement_findings(str(requirement), location)
    for key, value in leaves(parsed.get("tool")):
        if key in _SOURCES and value:
            message = f"{key} = {shown(value)} says where packages come from."
            yield Finding("requirement-option", "high", location, message)


def _listed(value: Any) -> list[Any]:
    """Return a list, of one for a single value: installers differ in what they make of one."""
    return value if isinstance(value, list) else [] if value is None else [value]
