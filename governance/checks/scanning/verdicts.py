"""Say how bad the names are that a pickle imports."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

from governance.checks.base import Finding, Severity
from governance.checks.scanning import allowlist, pickles
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.pickles import Global, PartlyRead, Trace


def judge(data: bytes, location: str, own: frozenset[str] = frozenset()) -> list[Finding]:
    """Return the findings on a file that is a pickle, or several behind each other. Empty only if all was followed.

    own: top-level modules of the code that comes with the model, which is a finding of its own.
    """
    findings: list[Finding] = []
    position = 0
    while position < len(data):
        try:
            trace = pickles.follow(data[position:])
        except PartlyRead as broken:
            findings += _broken(broken, data[position:], location, own, first=position == 0)
            break
        findings += judge_trace(trace, location, own)
        position += trace.end
    return findings


def _broken(broken: PartlyRead, rest: bytes, location: str, own: frozenset[str], *, first: bool) -> list[Finding]:
    where = "it" if first else f"what follows its end ({len(rest)} bytes)"
    message = f"The pickle cannot be followed: {where} breaks off, {broken}. Python would run what comes before that."
    return [
        *judge_trace(broken.trace, location, own),
        *_judge_names(_seen_by_picklescan(rest), location, own),
        Finding(broken.rule, "high" if first else "medium", location, message),
    ]


def judge_trace(trace: Trace, location: str, own: frozenset[str] = frozenset()) -> list[Finding]:
    """Return the findings on what a stream does, and on what picklescan sees in it."""
    names = set(trace.names)
    for plain in (trace.plain, *trace.nested):
        names |= _seen_by_picklescan(plain)
    findings = _judge_names(names, location, own)
    if trace.computed_names:
        findings.append(Finding("hidden-name", "critical", location, "It computes the name of what it imports."))
    if trace.extensions:
        findings.append(Finding("extension-registry", "high", location, "It uses the extension registry of copyreg."))
    return findings


def _judge_names(names: Iterable[Global], location: str, own: frozenset[str]) -> list[Finding]:
    refused = sorted((each for each in names if not allowlist.allows(each.module, each.name)), key=str)
    dangerous = _dangerous(refused)
    return [_finding(each, each in dangerous, location, own) for each in refused]


def _finding(name: Global, dangerous: bool, location: str, own: frozenset[str]) -> Finding:
    if name.module.startswith("cloudpickle"):
        message = f"It embeds Python code ({name}), which runs when the model is loaded. Save it as a known model class instead."
        return Finding("embedded-code", "high", location, message)
    top = name.module.partition(".")[0]
    if not dangerous and top in own and top not in sys.stdlib_module_names:
        message = f"Loading imports {name}, from the code that the model brings. Review that code."
        return Finding("custom-code", "medium", location, message)
    severity: Severity = "critical" if dangerous else "high"
    rule = "dangerous-name" if dangerous else "unknown-name"
    explained = "can run any code" if dangerous else "is not a known part of a model"
    return Finding(rule, severity, location, f"Loading imports {name}, which {explained}.")


def _seen_by_picklescan(data: bytes) -> set[Global]:
    """Return every name that picklescan lists: a second reader, whose mistakes are not ours."""
    if not data:
        return set()
    scanner = _picklescan()
    try:
        result = scanner.scan_pickle_bytes(io.BytesIO(data), "stream", strict=True)
    except Exception as cause:  # noqa: BLE001  # whatever it trips over, we could not get a second opinion
        return {Global("picklescan", f"failed with {type(cause).__name__}")}
    return {Global(each.module, each.name) for each in result.globals}


def _dangerous(names: list[Global]) -> set[Global]:
    """Return which of the names picklescan lists as dangerous even when it is not strict."""
    return {name for name in names if _is_dangerous(name)}


def _is_dangerous(name: Global) -> bool:
    # A stream that imports this one name is how picklescan can be asked about it.
    stream = f"c{name.module}\n{name.name}\n.".encode("utf-8", "replace")
    result = _picklescan().scan_pickle_bytes(io.BytesIO(stream), "name", strict=False)
    return bool(result.issues_count)


def _picklescan() -> Any:
    try:
        from picklescan import scanner  # the catalogue is read without it
    except ImportError as cause:
        raise Unreadable("picklescan is not installed in the environment of the check", "scanner-missing") from cause
    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    return scanner
