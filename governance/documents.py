"""YAML documents written by people: the value, where each part stands, and every departure from a schema in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from yaml.constructor import SafeConstructor

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
        return yaml.safe_load(document), marks
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DocumentError([Mistake(*where, f"not valid YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise DocumentError([Mistake(1, 1, f"not valid YAML: {error}")]) from None
    except RecursionError:
        raise DocumentError([Mistake(1, 1, f"nested too deeply; at most {DEEPEST} levels")]) from None


def schema_mistakes(value: Any, marks: Marks, schema: dict[str, Any]) -> Iterator[Mistake]:
    """Yield each departure of a loaded value from a JSON Schema, at its place in the document."""
    for error in sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path]):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = sorted(error.schema.get("properties", {}))
            for name in error.instance:
                if name not in known:
                    yield mistake(
                        marks, (*path, ("key", name)), f"there is no field {name} here; expected one of {', '.join(known)}"
                    )
            continue
        yield mistake(marks, path, _expected(error))


def mistake(marks: Marks, path: Path, message: str) -> Mistake:
    """Return a mistake at the place of `path`, or of what holds it if that part is missing."""
    line, column = marks.get(path) or marks.get(path[:-1]) or (0, 0)
    return Mistake(line + 1, column + 1, message)


def _collect(node: yaml.Node, path: Path, marks: Marks, depth: int) -> None:
    marks[path] = (node.start_mark.line, node.start_mark.column)
    if depth > DEEPEST:
        raise _at(node, f"nested too deeply; at most {DEEPEST} levels")
    if len(marks) > MOST_PARTS:
        raise _at(node, f"the document has more than {MOST_PARTS} parts; write fewer, or use fewer aliases")
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
        SafeConstructor().construct_object(node)
    except (ValueError, KeyError, AttributeError):
        shown, kind = str(node.value)[:80], node.tag.rpartition(":")[2]
        raise _at(node, f"{shown} is no valid {kind}; if text is meant, put it in quotes") from None


def _at(node: yaml.Node, message: str) -> DocumentError:
    return DocumentError([Mistake(node.start_mark.line + 1, node.start_mark.column + 1, message)])


def _expected(error: Any) -> str:
    name = str(error.absolute_path[-1]) if error.absolute_path else "the document"
    kind = error.validator
    if kind == "required":
        missing = [field for field in error.validator_value if field not in error.instance]
        return f"{name} lacks {', '.join(missing)}"
    if kind == "type":
        expected = error.validator_value
        hint = "; put it in quotes" if expected == "string" and isinstance(error.instance, bool | int | float | date) else ""
        return f"{name} must be of type {expected if isinstance(expected, str) else ' or '.join(expected)}{hint}"
    if kind == "const":
        return f"{name} must be {error.validator_value}"
    if kind == "enum":
        return f"{name} must be one of {', '.join(map(str, error.validator_value))}"
    if kind == "pattern":
        return f"{name} is {error.instance!r}; expected lower-case letters, digits and hyphens, as in credit-production"
    if kind in ("minItems", "maxItems"):
        return f"{name} has {len(error.instance)} entries; expected at {'least' if kind == 'minItems' else 'most'} {error.validator_value}"
    if kind in ("minimum", "maximum"):
        return f"{name} is {error.instance}; expected at {'least' if kind == 'minimum' else 'most'} {error.validator_value}"
    if kind == "minLength":
        return f"{name} must not be empty"
    return f"{name}: {error.message}"
