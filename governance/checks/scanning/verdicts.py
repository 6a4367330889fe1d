"""Say how bad the names are that a pickle imports, and what else it does that no model needs."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Mapping
from typing import Any

from governance.checks.base import Finding, Severity
from governance.checks.scanning import allowlist, pickles
from governance.checks.scanning.limits import Unreadable
from governance.checks.scanning.pickles import PartlyRead, Trace
from governance.checks.scanning.symbols import Global

_MOST_PICKLES = 1000
_MOST_NAMES = 100
_DEEPEST_CONSTANT = 3
_PICKLESCAN_OPERATIONS = 2_000_000  # it holds all of them in memory, some hundred bytes each
_ODD: Mapping[str, Severity] = {"hidden-name": "critical", "patched-global": "critical"}
# torch.save before version 1.6: five pickles, of which this number is the first, and then the bare numbers.
_TORCH_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_TORCH_PICKLES = 5


def judge(data: bytes, location: str, own: frozenset[str] = frozenset()) -> list[Finding]:
    """Return the findings on a file that is a pickle, or several behind each other. Empty only if all was followed.

    own: top-level modules of the code that comes with the model, which is a finding of its own.
    """
    findings: list[Finding] = []
    position = count = 0
    while position < len(data):
        if count == _MOST_PICKLES:
            raise Unreadable(f"more than {count} pickles stand behind each other", "bomb")
        try:
            trace = pickles.follow(data, position)
        except PartlyRead as broken:
            return findings + _broken(broken, data, position, location, own)
        findings += judge_trace(trace, location, own)
        position = trace.end
        count += 1
        if count == _TORCH_PICKLES and _TORCH_MAGIC in data[:16]:
            return findings
    return findings


def _broken(broken: PartlyRead, data: bytes, position: int, location: str, own: frozenset[str]) -> list[Finding]:
    rest = data[position:]
    where = "it" if not position else f"what follows its end ({len(rest)} bytes)"
    message = f"The pickle cannot be followed: {where} breaks off, {broken}. Python would run what comes before that."
    return [
        *judge_trace(broken.trace, location, own),
        *_judge_names(dict.fromkeys(_seen_by_picklescan(rest, broken.trace.operations)), location, own),
        Finding(broken.rule, "medium" if position else "high", location, message),
    ]


def judge_trace(trace: Trace, location: str, own: frozenset[str] = frozenset(), depth: int = 0) -> list[Finding]:
    """Return the findings on what a stream does, and on what picklescan sees in it."""
    names: dict[Global, int | None] = dict(trace.names)
    for plain in (trace.plain, *trace.nested):
        names |= {each: None for each in _seen_by_picklescan(plain, trace.operations) if each not in names}
    findings = _judge_names(names, location, own)
    for odd in trace.oddities:
        findings.append(Finding(odd.rule, _ODD.get(odd.rule, "high"), location, f"{odd.text}, at byte {odd.offset}."))
    if trace.operations > _PICKLESCAN_OPERATIONS:
        message = f"With {trace.operations} operations it was followed once, and not read by picklescan as well."
        findings.append(Finding("one-reader", "low", location, message))
    for offset, content in trace.constants:
        findings += _judge_constant(content, offset, location, own, depth)
    return findings


def _judge_constant(content: bytes, offset: int, location: str, own: frozenset[str], depth: int) -> list[Finding]:
    """Return a finding on a pickle that lies within another as plain bytes, for a loader to load in its turn."""
    if depth == _DEEPEST_CONSTANT:
        message = f"Pickles lie within each other more than {depth} deep."
        return [Finding("nested-pickle", "high", location, message)]
    try:
        trace = pickles.follow(content)
    except PartlyRead as broken:
        trace = broken.trace
    found = judge_trace(trace, location, own, depth + 1)
    if not found:
        return []
    message = f"The constant at byte {offset} is itself a pickle. In it: {found[0].message}"
    return [Finding("nested-pickle", found[0].severity, location, message)]


def _judge_names(names: Mapping[Global, int | None], location: str, own: frozenset[str]) -> list[Finding]:
    refused = sorted((each for each in names if not allowlist.allows(each.module, each.name)), key=str)
    findings = [_finding(each, names[each], is_dangerous(each), location, own) for each in refused[:_MOST_NAMES]]
    if len(refused) > _MOST_NAMES:
        message = f"It imports {len(refused)} names that are not known parts of a model; {_MOST_NAMES} are listed."
        findings.append(Finding("unknown-name", "high", location, message))
    return findings


def _finding(name: Global, offset: int | None, dangerous: bool, location: str, own: frozenset[str]) -> Finding:
    at = f", at byte {offset}" if offset is not None else ""
    shown = f"{name}"[:200]
    if name.module.startswith("cloudpickle"):
        message = (
            f"It embeds Python code ({shown}{at}), which runs when the model is loaded. Save it as a known model class instead."
        )
        return Finding("embedded-code", "high", location, message)
    top = name.module.partition(".")[0]
    if not dangerous and top in own and top not in sys.stdlib_module_names:
        message = f"Loading imports {shown}{at}, from the code that the model brings. Review that code."
        return Finding("custom-code", "medium", location, message)
    severity: Severity = "critical" if dangerous else "high"
    rule = "dangerous-name" if dangerous else "unknown-name"
    explained = "can run any code" if dangerous else "is not a known part of a model"
    return Finding(rule, severity, location, f"Loading imports {shown}{at}, which {explained}.")


def _seen_by_picklescan(data: bytes, operations: int) -> set[Global]:
    """Return every name that picklescan lists: a second reader, whose mistakes are not ours."""
    if not data or operations > _PICKLESCAN_OPERATIONS:
        return set()
    scanner = _picklescan()
    try:
        result = scanner.scan_pickle_bytes(io.BytesIO(data), "stream", strict=True)
    except Exception as cause:  # noqa: BLE001  # whatever it trips over, we could not get a second opinion
        return {Global("picklescan", f"failed with {type(cause).__name__}")}
    return {Global(each.module, each.name) for each in result.globals}


def is_dangerous(name: Global) -> bool:
    """Return whether picklescan lists the name as dangerous even when it is not strict."""
    # A stream that imports this one name is how picklescan can be asked about it.
    stream = f"c{name.module}\n{name.name}\n.".encode("utf-8", "replace")
    try:
        result = _picklescan().scan_pickle_bytes(io.BytesIO(stream), "name", strict=False)
    except (ValueError, IndexError, TypeError):  # a name that is none
        return False
    return bool(result.issues_count)


def _picklescan() -> Any:
    try:
        from picklescan import scanner  # the catalogue is read without it
    except ImportError as cause:
        raise Unreadable("picklescan is not installed in the environment of the check", "scanner-missing") from cause
    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    return scanner
