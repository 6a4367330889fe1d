"""Look into JSON for what makes a loader run code: layers, classes and templates that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from governance.checks.base import Finding
from governance.checks.scanning import keras
from governance.checks.scanning.documents import load_json, shown
from governance.checks.scanning.templates import template_findings

_MARKS = re.compile(rb'"(?:class_name|auto_map|custom_pipelines|lc|chat_template|trust_remote_code|nbformat)"')
# Writers of JSON escape control characters, never letters; whoever does hides a word.
_HIDDEN_LETTER = re.compile(rb"\\u00(?:[46][1-9a-fA-F]|[57][0-9aA]|5[fF])")
_MOST_FINDINGS = 100


def is_json(suffix: str, data: bytes) -> bool:
    """Return whether the text may be read as JSON."""
    return suffix in (".json", ".ipynb", ".keras") or data[:64].lstrip()[:1] in (b"{", b"[")


def json_findings(data: bytes, location: str) -> list[Finding]:
    """Return findings on JSON that names code. Raises Unreadable for such JSON where it is broken."""
    hidden = _HIDDEN_LETTER.search(data)
    if not hidden and not _MARKS.search(data):
        return []
    findings: list[Finding] = []
    if hidden:
        message = f"It writes a letter as {hidden[0].decode()}, at byte {hidden.start()}, which hides a word from a reader."
        findings.append(Finding("hidden-name", "medium", location, message))
    objects, twice = load_json(data)
    if twice:
        message = "An object says a key twice; readers may differ on which value counts."
        findings.append(Finding("duplicate-key", "medium", location, message))
    for each in objects:
        findings += _object(each, location)
        if len(findings) > _MOST_FINDINGS:
            break
    return findings


def _object(parsed: dict[str, Any], location: str) -> Iterator[Finding]:
    yield from keras.layer_findings(parsed, location)
    for key in ("auto_map", "custom_pipelines", "trust_remote_code"):
        if parsed.get(key):
            message = (
                f"{key} = {shown(parsed[key])}: the loader is asked to run code that comes with the model or from elsewhere."
            )
            yield Finding("remote-code", "high", location, message)
    template = parsed.get("chat_template")
    if isinstance(template, str):
        yield from template_findings(template, location)
    for each in template if isinstance(template, list) else []:
        if isinstance(each, dict) and isinstance(each.get("template"), str):
            yield from template_findings(each["template"], location)
    if parsed.get("lc") == 1 and parsed.get("type") == "constructor":
        yield from _constructor(parsed.get("id"), location)
    if isinstance(parsed.get("cells"), list) and "nbformat" in parsed:
        message = f"A notebook with {len(parsed['cells'])} cells is code that comes with the model. Review it."
        yield Finding("code", "medium", location, message)


def _constructor(name: Any, location: str) -> Iterator[Finding]:
    """Yield a finding unless the class is LangChain's own. Source: langchain_core.load, serialized constructors."""
    package = name[0] if isinstance(name, list) and name else None
    if not (isinstance(package, str) and re.match(r"langchain(_\w+)?\Z", package)):
        message = f"Loading constructs {shown(name)}, which is not a class of LangChain."
        yield Finding("unknown-name", "high", location, message)
