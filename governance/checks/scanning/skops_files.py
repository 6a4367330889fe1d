"""Find the types that loading a skops file makes: by skops' own judgement, and by reading its schema."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from io import BytesIO

from governance.checks.base import Finding
from governance.checks.scanning import allowlist
from governance.checks.scanning.documents import load_json
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.symbols import Global
from governance.checks.scanning.verdicts import is_dangerous

_MOST_FINDINGS = 100


def skops_findings(data: bytes, location: str) -> list[Finding]:
    """Return a finding for each type that is no known part of a model. Raises Unreadable for what is no skops file."""
    names = {name for name in _untrusted(data) if not allowlist.allows_type(name)}
    names |= {str(each) for each in _named(data) if not allowlist.allows(each.module, each.name) and is_dangerous(each)}
    return [
        Finding("untrusted-type", "high", location, f"Loading makes the type {name[:200]}, which is not a known part of a model.")
        for name in sorted(names)[:_MOST_FINDINGS]
    ]


def _untrusted(data: bytes) -> set[str]:
    try:
        from skops.io import get_untrusted_types  # two seconds that only a skops file should cost

        return set(map(str, get_untrusted_types(data=data)))
    except ImportError as cause:
        raise Unreadable(f"skops is not installed in the environment of the check: {cause}", "scanner-missing") from cause
    except Exception as cause:  # a hostile schema may trip it anywhere
        raise Unreadable(f"skops cannot read it: {type(cause).__name__}: {cause}"[:500]) from cause


def _named(data: bytes) -> Iterator[Global]:
    """Yield every type that the schema names: a second reader, since what skops trusts is not ours to know."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        objects, twice = load_json(archive.read("schema.json"))  # its size was checked as a member of the archive
    if twice:
        raise Unreadable("its schema says a key twice")
    for each in objects:
        module, name = each.get("__module__"), each.get("__class__")
        if isinstance(module, str) and isinstance(name, str):
            yield Global(module, name)
