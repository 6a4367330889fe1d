"""Read the three files that tell MLflow which packages a model needs, as input of a stranger."""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from governance.checks.base import Finding

LARGEST_BYTES = 1 << 20
MOST_ENTRIES = 1500  # of one file; of all three they still fit into one table of a result
_OWN_FILE = "-r requirements.txt"  # MLflow writes this very line into python_env.yaml
_COMMENT = re.compile(r"(^|\s)#.*")
_ENCODING = re.compile(rb"coding[:=]\s*([-\w.]+)")


@dataclass(frozen=True)
class Entry:
    """One requirement as it is written, without its comment.

    conda: in conda's language, otherwise in pip's. tool: where MLflow names what installs the rest.
    """

    text: str
    location: str
    conda: bool = False
    tool: bool = False


@dataclass(frozen=True)
class Reading:
    """What the files say. gap: why something may be missing, or "" when everything was read."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    gap: str


class _Unreadable(Exception):
    """The file cannot be read; says why."""


def read(folder: Path) -> Reading:
    """Return the requirements in requirements.txt, conda.yaml and python_env.yaml of the model in `folder`.

    A file that is no plain file, larger than LARGEST_BYTES, longer than MOST_ENTRIES, not UTF-8 or broken is a finding
    and a gap, as is a model without any of the three. The interpreter that python_env.yaml names is not a package of it.
    """
    entries: list[Entry] = []
    findings: list[Finding] = []
    present: list[str] = []
    unread: list[str] = []
    for name, parse in _FILES.items():
        try:
            text = _text(folder / name)
            if text is None:
                continue
            present.append(name)
            found = list(islice(parse(text, name), MOST_ENTRIES + 1))
            if len(found) > MOST_ENTRIES:
                raise _Unreadable(f"it has more than {MOST_ENTRIES} requirements")
        except _Unreadable as cause:
            unread.append(name)
            findings.append(Finding("unreadable-file", "high", name, f"What it installs is not known: {cause}."))
        else:
            entries += (each for each in found if isinstance(each, Entry))
            findings += (each for each in found if isinstance(each, Finding))
    if "requirements.txt" in present:
        entries = [each for each in entries if each.text != _OWN_FILE]
    if not present and not unread:
        message = f"None of {', '.join(_FILES)} is there, so what the model needs is not known."
        findings.append(Finding("no-requirements", "medium", "", message))
        return Reading((), tuple(findings), "not known: the model has no file with requirements")
    gap = f"not known: {', '.join(unread)} could not be read" if unread else ""
    return Reading(tuple(entries), tuple(findings), gap)


def _text(path: Path) -> str | None:
    """Return the file's text, or None if there is no such file. Raises _Unreadable."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _Unreadable("it is a link, a folder or a special file")
        if status.st_size > LARGEST_BYTES:
            raise _Unreadable(f"it is larger than {LARGEST_BYTES} bytes")
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise _Unreadable(str(cause.strerror)) from cause
    except UnicodeDecodeError as cause:
        raise _Unreadable("it is not UTF-8") from cause
    if "\0" in text:
        raise _Unreadable("it contains a zero byte")
    _refuse_other_encodings(data)
    return text


def _refuse_other_encodings(data: bytes) -> None:
    """Raise _Unreadable for a declared encoding that is not ours.

    pip obeys a declaration in the first two lines (pip/_internal/req/req_file.py), so in UTF-7, say, it would install
    something else than what stands there.
    """
    for line in data.split(b"\n")[:2]:
        declared = _ENCODING.search(line) if line.startswith(b"#") else None
        if declared is None:
            continue
        try:
            known = codecs.lookup(declared[1].decode("ascii", "replace")).name
        except LookupError:
            known = ""
        if known not in ("utf-8", "ascii"):
            raise _Unreadable(f"it declares the encoding {declared[1]!r} instead of UTF-8")


def _requirements(text: str, name: str) -> Iterator[Entry | Finding]:
    for number, line in _joined(text):
        entry = _COMMENT.sub("", line).strip()
        if entry:
            yield Entry(entry, f"{name}:{number}")


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of its first line, logical line): a backslash at the end continues it, a comment ends it, as for pip."""
    first = 0
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        first = first if parts else number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line.rstrip("\\"))
            continue
        yield first, "".join([*parts, f" {line}" if comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)


def _conda(text: str, name: str) -> Iterator[Entry | Finding]:
    for place, item in _listed(_mapping(text), "dependencies", f"{name}:"):
        if not isinstance(item, dict):
            yield _entry(item, place, conda=True, tool=True)
            continue
        for section in item:
            if section == "pip":
                yield from (_entry(each, where) for where, each in _listed(item, "pip", place + "."))
            else:
                yield _no_requirement(f"the section {str(section)[:100]!r}", place)


def _python_env(text: str, name: str) -> Iterator[Entry | Finding]:
    parsed = _mapping(text)
    for section, tool in (("build_dependencies", True), ("dependencies", False)):
        yield from (_entry(each, place, tool=tool) for place, each in _listed(parsed, section, f"{name}:"))


def _entry(item: object, place: str, *, conda: bool = False, tool: bool = False) -> Entry | Finding:
    if not isinstance(item, str):  # what stands there is not made a text of: a thousand lists in lists would make a long one
        return _no_requirement(f"a {type(item).__name__}", place)
    return Entry(item.strip(), place, conda, tool)


def _no_requirement(what: str, place: str) -> Finding:
    return Finding("unreadable-requirement", "medium", place, f"Here is {what} where a requirement was expected.")


def _listed(mapping: dict[Any, Any], key: str, prefix: str) -> Iterator[tuple[str, object]]:
    """Yield (place, item) of the list under a key, nothing if there is no such key. Raises _Unreadable for no list."""
    items = mapping.get(key)
    if items is not None and not isinstance(items, list):
        raise _Unreadable(f"{key!r} is not a list")
    yield from ((f"{prefix}{key}[{index}]", item) for index, item in enumerate(items or []))


class _Plain(yaml.SafeLoader):
    """Reads YAML without aliases and tags: nobody needs them here, and they can multiply or disguise what is said."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it out
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise _Unreadable("it uses an alias or a tag of YAML")
        return super().compose_node(parent, index)


def _mapping(text: str) -> dict[Any, Any]:
    try:
        loader = _Plain(text)
        parsed = loader.get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as cause:
        raise _Unreadable(f"the YAML is broken ({type(cause).__name__})") from cause
    if not isinstance(parsed, dict):
        raise _Unreadable("it is not a mapping")
    return parsed


_FILES: dict[str, Callable[[str, str], Iterator[Entry | Finding]]] = {
    "requirements.txt": _requirements,
    "conda.yaml": _conda,
    "python_env.yaml": _python_env,
}
