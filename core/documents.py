"""YAML documents written by people: the value, where each part stands, and every departure from a schema in words. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from yaml.constructor import SafeConstructor

from core.canonical import LARGEST_INTEGER

DEEPEST = 20
MOST_PARTS = 50_000  # counted with aliases written out, so that a short document cannot grow without bound

Path = tuple[Any, ...]
Marks = dict[Path, tuple[int, int]]  # path of a part, or path and ("key", name) -> line and column, from 0


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a document: where (line and column count from 1), what, and what was expected."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class DocumentError(Exception):
    """A document that cannot be published, with every mistake found in it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def loaded(document: str) -> tuple[Any, Marks]:
    """Return a YAML document's value and where each of its parts stands. Raises DocumentError if it cannot be read."""
    try:
        root = yaml.compose(document, Loader=yaml.SafeLoader)
        if root is None:
            raise DocumentError([Mistake(1, 1, "the document is empty; it needs at least kind and name")])
        marks: Marks = {}
        _collect(root, (), marks, depth=0)
        return _Constructor().construct_document(root), marks
    except yaml.MarkedYAMLError as error:
        # What is never closed is told where it begins: the end of the document helps nobody.
        endless = "end of stream" in str(error.problem)
        mark = (error.context_mark if endless else error.problem_mark) or error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = str(error.problem or error.context)
        remedy = next((f"; {remedy}" for words, remedy in _REMEDIES.items() if words in said), "")
        raise DocumentError([Mistake(*where, f"not valid YAML: {said}{remedy}")]) from None
    except yaml.YAMLError as error:
        raise DocumentError([Mistake(1, 1, f"not valid YAML: {error}")]) from None
    except RecursionError:
        raise DocumentError([Mistake(1, 1, f"nested too deeply; at most {DEEPEST} levels")]) from None


_REMEDIES = {
    "mapping values are not allowed": "a text with a colon and a blank in it needs quotes; else look at the indentation",
    "expected <block end>": "look at the indentation; a text that begins with a quote or a bracket needs | before it or quotes around it",
    "expected ','": "inside { } and [ ] a text with brackets or commas needs quotes, as in '${name}'",
    "that cannot start any token": "indent with blanks; a text that begins with such a character needs quotes",
    "unexpected end of stream": "a quote or a bracket is not closed",
}


class _Constructor(SafeConstructor):
    """Dates stay the text they were written as, so that ``since: 2026-01-31`` needs no quotes."""

    yaml_constructors = {
        **SafeConstructor.yaml_constructors,
        "tag:yaml.org,2002:timestamp": SafeConstructor.construct_yaml_str,
    }


_KINDS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}


def schema_mistakes(value: Any, marks: Marks, schema: dict[str, Any]) -> Iterator[Mistake]:
    """Yield each departure of a loaded value from a JSON Schema, at its place in the document."""
    for error in sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path]):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            for name in error.instance:
                if name not in error.schema.get("properties", {}):
                    yield mistake(marks, (*path, ("key", name)), _unknown(name, error.schema))
        elif "propertyNames" in error.schema_path:
            yield mistake(marks, (*path, ("key", error.instance)), _expected(error, str(error.instance)))
        else:
            yield mistake(marks, path, _expected(error, _name_of(path)))


def mistake(marks: Marks, path: Path, message: str) -> Mistake:
    """Return a mistake at the place of `path`, or of what holds it if that part is missing."""
    line, column = marks.get(path) or marks.get(path[:-1]) or (0, 0)
    return Mistake(line + 1, column + 1, message)


def position(document: str, start: tuple[int, int], value: str, line: int, column: int) -> tuple[int, int]:
    """Return where in a document a place within one of its texts stands; all count from 1 but `start`, the text's mark.

    YAML folds lines, strips indentation and escapes quotes, but keeps every character that is no space, in order: these are
    counted off.
    """
    before = "\n".join([*value.split("\n")[: line - 1], value.split("\n")[line - 1][: column - 1]])
    wanted = sum(not character.isspace() for character in before)
    follows = value[len(before) : len(before) + 1].strip()
    found = start
    for n, place in enumerate(_characters(document.splitlines(), start)):
        if follows and n == wanted:
            return place[0] + 1, place[1] + 1
        if not follows and n == wanted - 1:
            return place[0] + 1, place[1] + 2
        found = place
    return found[0] + 1, found[1] + 1


_PROPERTIES = re.compile(r"([&!]\S*\s+)*")
_ESCAPE = re.compile(r"\\(x..|u....|U........|.|$)")


def _characters(lines: list[str], start: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the place of each character of a text that is no space, through the end of the document."""
    first, column = start
    anchored = _PROPERTIES.match(lines[first], column)
    column = anchored.end() if anchored else column
    style = lines[first][column : column + 1]
    if style in ("|", ">"):
        first, column = first + 1, 0
    elif style in ("'", '"'):
        column += 1
    for number in range(first, len(lines)):
        text = lines[number]
        while column < len(text):
            width, counts = 1, not text[column].isspace()
            if style == "'" and text.startswith("''", column):
                width = 2
            elif style == '"' and (escape := _ESCAPE.match(text, column)):
                width, counts = len(escape[0]), escape[1] not in ("", "n", "t", "r", " ")
            if counts:
                yield number, column
            column += width
        column = 0


def _collect(node: yaml.Node, path: Path, marks: Marks, depth: int) -> None:
    marks[path] = (node.start_mark.line, node.start_mark.column)
    if depth > DEEPEST:
        raise _at(node, f"nested too deeply; at most {DEEPEST} levels")
    if len(marks) > MOST_PARTS:
        raise _at(node, f"the document has more than {MOST_PARTS} parts; write fewer, or use fewer aliases")
    if node.tag not in _KINDS:
        raise _at(node, _tagged(node.tag))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = _name(key)
            if name in seen:
                raise _at(key, f"{name} stands here a second time; keep one")
            seen.add(name)
            marks[(*path, ("key", name))] = (key.start_mark.line, key.start_mark.column)
            _collect(value, (*path, name), marks, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _collect(item, (*path, i), marks, depth + 1)
    else:
        _check_scalar(node)


def _tagged(tag: str) -> str:
    shown = tag.replace("tag:yaml.org,2002:", "!!")
    if shown.startswith("!!"):
        return f"{shown} is not allowed in a document; write plain text, numbers, lists and fields"
    return f"{shown} is read as a tag; put a text that begins with ! in quotes"


def _name(key: yaml.Node) -> str:
    """Return a field's name; YAML would read a bare ``on`` or ``1`` as something else than text."""
    if key.tag == "tag:yaml.org,2002:merge":
        raise _at(key, "<< is not allowed in a document; write the fields out")
    if key.tag != "tag:yaml.org,2002:str":
        shown = key.value if isinstance(key, yaml.ScalarNode) else "this"
        raise _at(key, f"{shown} is not text, and a field's name must be; put it in quotes")
    return str(key.value)


def _check_scalar(node: yaml.Node) -> None:
    """Refuse what looks like a date or a number and is none, which YAML reports without a place."""
    try:
        value = SafeConstructor().construct_object(node)
    except (ValueError, KeyError, AttributeError):
        shown, kind = str(node.value)[:80], node.tag.rpartition(":")[2]
        raise _at(node, f"{shown} is no valid {kind}; if text is meant, put it in quotes") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _at(node, f"{node.value} is no number that can be compared with; give a finite one")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise _at(node, f"{node.value} is larger than JSON's whole numbers; put it in quotes, or give it as 1.0e+16")


def _at(node: yaml.Node, message: str) -> DocumentError:
    return DocumentError([Mistake(node.start_mark.line + 1, node.start_mark.column + 1, message)])


def _name_of(path: Path) -> str:
    if not path:
        return "the document"
    return str(path[-1]) if isinstance(path[-1], str) else f"entry {path[-1] + 1} of {_name_of(path[:-1])}"


def _unknown(name: str, schema: dict[str, Any]) -> str:
    known = sorted(schema.get("properties", {}))
    if instead := schema.get("x-instead", {}).get(name):
        return f"there is no field {name} here; write {instead}"
    close = get_close_matches(name, known, n=1)
    return f"there is no field {name} here; expected one of {', '.join(known)}{f'; did you mean {close[0]}?' if close else ''}"


_NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,99}$"
_TYPES = {
    "object": "fields with values",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def _expected(error: Any, name: str) -> str:
    kind, limit, given = error.validator, error.validator_value, error.instance
    wanted = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    if kind == "required":
        return f"{name} lacks {', '.join(field for field in limit if field not in given)}"
    if kind == "type":
        return f"{name} must be of type {_typed(limit, given, wanted)}"
    if kind == "const":
        return f"{name} must be {limit}"
    if kind == "enum":
        return f"{name} must be one of {', '.join(map(str, limit))}"
    if kind == "pattern":
        if not wanted and limit == _NAME_PATTERN:
            wanted = "lower-case letters, digits and hyphens, as in credit-production"
        return f"{name} is {given!r}; expected {wanted or f'text that fits {limit}'}"
    if kind in ("minimum", "maximum"):
        return f"{name} is {given}; expected at {'least' if kind == 'minimum' else 'most'} {limit}"
    if kind in ("minItems", "maxItems"):
        return f"{name} has {len(given)} entries; expected at {'least' if kind == 'minItems' else 'most'} {limit}"
    if kind == "minProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        return (
            f"{name} says nothing; expected at least one of {known}" if known else f"{name} says nothing; fill it or take it out"
        )
    if kind == "uniqueItems":
        return f"{name} names something twice; each may stand there once"
    if kind == "minLength":
        return f"{name} must not be empty"
    if kind == "maxLength":
        return f"{name} is {len(given)} characters long; expected at most {limit}"
    return f"{name}: {error.message}"


def _typed(expected: str | list[str], given: Any, wanted: str) -> str:
    names = [expected] if isinstance(expected, str) else expected
    said = " or ".join(names)
    if wanted:
        return f"{said}: {wanted}"
    if names == ["string"] and isinstance(given, bool | int | float):
        return f"{said}; put it in quotes"
    return f"{said}, that is {' or '.join(dict.fromkeys(_TYPES[each] for each in names))}"
