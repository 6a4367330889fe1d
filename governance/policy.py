"""A policy document -> compiled requirements; every mistake with its line, its column and what was expected. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from core.canonical import text_digest
from governance.expressions import ExpressionError, Language, language

_NAME = "^[a-z0-9][a-z0-9-]{0,99}$"
_EXPRESSION = {"type": "string", "minLength": 1}
_SCALAR = {"type": ["string", "number", "integer", "boolean"]}

POLICY_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Countersign policy",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "requirements"],
    "properties": {
        "kind": {"const": "Policy"},
        "name": {"type": "string", "pattern": _NAME},
        "title": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "parameters": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z_][a-z0-9_]*$"},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type"],
                "properties": {
                    "type": {"enum": ["number", "integer", "text", "flag"]},
                    "default": _SCALAR,
                    "description": {"type": "string"},
                },
            },
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["check"],
                "properties": {
                    "check": {"type": "string", "pattern": _NAME},
                    "dataset": {"type": "string", "minLength": 1},
                    "with": {"type": "object"},
                },
            },
        },
        "requirements": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "title", "satisfied_if", "how_to_satisfy"],
                "properties": {
                    "id": {"type": "string", "pattern": _NAME},
                    "title": {"type": "string", "minLength": 1},
                    "applies_if": _EXPRESSION,
                    "satisfied_if": _EXPRESSION,
                    "how_to_satisfy": {"type": "string", "minLength": 1},
                    "shows": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["value"],
                        "properties": {
                            "value": _EXPRESSION,
                            "limit": _EXPRESSION,
                            "champion": _EXPRESSION,
                            "limit_is": {"enum": ["at_least", "at_most", "equal"]},
                            "evidence": {"type": "string"},
                        },
                    },
                },
            },
        },
        "approvals": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["role", "count"],
                "properties": {"role": {"type": "string", "minLength": 1}, "count": {"type": "integer", "minimum": 1}},
            },
        },
        "expires_after_days": {"type": "integer", "minimum": 1},
    },
}

BINDING_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Countersign policy binding",
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "name", "policy", "targets"],
    "properties": {
        "kind": {"const": "Binding"},
        "name": {"type": "string", "pattern": _NAME},
        "policy": {"type": "string", "pattern": _NAME},
        "match": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "models": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
                "risk_tiers": {"type": "array", "items": {"enum": ["low", "medium", "high"]}, "minItems": 1},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "targets": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "stages": {"type": "array", "items": {"type": "string", "minLength": 1}},
                "aliases": {"type": "array", "items": {"type": "string", "minLength": 1}},
            },
        },
        "parameters": {"type": "object", "additionalProperties": _SCALAR},
    },
}


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a document: where (line and column count from 1), what, and what was expected."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class PolicyError(Exception):
    """A document that cannot be published, with every mistake found in it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str  # number | integer | text | flag
    default: Any
    description: str


@dataclass(frozen=True)
class Shows:
    """What a requirement puts before a reviewer: expressions for the measured value, the limit and the champion's value."""

    value: Any
    limit: Any | None
    champion: Any | None
    limit_is: str
    evidence: str


@dataclass(frozen=True)
class Requirement:
    id: str
    title: str
    how_to_satisfy: str
    applies_if: Any | None
    satisfied_if: Any
    satisfied_if_text: str
    shows: Shows | None


@dataclass(frozen=True)
class CheckRequest:
    """A check that workers run when a promotion is asked for; strings of the form ``${name}`` stand for parameters."""

    check: str
    dataset: str
    parameters: Mapping[str, Any]

    def resolved(self, values: Mapping[str, Any]) -> CheckRequest:
        """Return the check with parameters put in."""
        return CheckRequest(self.check, str(_substituted(self.dataset, values)), _substituted(dict(self.parameters), values))


@dataclass(frozen=True)
class Approval:
    """So many people with this role must approve; the submitter, the version's creator and the run's owner never count."""

    role: str
    count: int


@dataclass(frozen=True)
class CompiledPolicy:
    """A published policy, ready to be evaluated."""

    name: str
    title: str
    description: str
    digest: str
    language: Language
    parameters: tuple[Parameter, ...]
    checks: tuple[CheckRequest, ...]
    requirements: tuple[Requirement, ...]
    approvals: tuple[Approval, ...]
    expires_after_days: int | None

    def effective(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter's value: as given by the binding, else its default."""
        return {p.name: given.get(p.name, p.default) for p in self.parameters}

    def wrong_parameters(self, given: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a binding's parameters, in words; empty if nothing is."""
        known = {p.name: p for p in self.parameters}
        wrong = [
            f"there is no parameter {name}; the policy has {', '.join(known) or 'none'}" for name in given if name not in known
        ]
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                wrong.append(f"parameter {parameter.name} has no default: give a {parameter.type}")
            elif not _fits(value, parameter.type):
                wrong.append(f"parameter {parameter.name} must be a {parameter.type}, not {value!r}")
        return wrong


@dataclass(frozen=True)
class BindingDocument:
    """Which models' way to which targets a policy guards, and with which parameters."""

    name: str
    policy: str
    models: tuple[str, ...]
    risk_tiers: tuple[str, ...]
    tags: Mapping[str, str]
    stages: tuple[str, ...]
    aliases: tuple[str, ...]
    parameters: Mapping[str, Any]


@lru_cache(maxsize=512)
def compile_policy(document: str) -> CompiledPolicy:
    """Return the compiled policy. Raises PolicyError with every mistake's line, column and remedy."""
    value, marks = _loaded(document)
    mistakes = list(_schema_mistakes(value, marks, POLICY_SCHEMA))
    if mistakes:
        raise PolicyError(mistakes)
    parameters = tuple(
        Parameter(name, spec["type"], spec.get("default"), spec.get("description", ""))
        for name, spec in value.get("parameters", {}).items()
    )
    compiler = _Compiler(language(tuple((p.name, p.type) for p in parameters)), marks, document)
    requirements = tuple(compiler.requirement(i, item) for i, item in enumerate(value["requirements"]))
    mistakes = compiler.mistakes + list(_meaning_mistakes(value, parameters, marks))
    if mistakes:
        raise PolicyError(sorted(mistakes, key=lambda m: (m.line, m.column)))
    return CompiledPolicy(
        name=value["name"],
        title=value.get("title", value["name"]),
        description=value.get("description", ""),
        digest=text_digest(document),
        language=compiler.language,
        parameters=parameters,
        checks=tuple(CheckRequest(c["check"], c.get("dataset", ""), c.get("with", {})) for c in value.get("checks", [])),
        requirements=requirements,
        approvals=tuple(Approval(a["role"], a["count"]) for a in value.get("approvals", [])),
        expires_after_days=value.get("expires_after_days"),
    )


def parse_binding(document: str) -> BindingDocument:
    """Return the binding a document says. Raises PolicyError with every mistake's line, column and remedy."""
    value, marks = _loaded(document)
    if mistakes := list(_schema_mistakes(value, marks, BINDING_SCHEMA)):
        raise PolicyError(mistakes)
    match, targets = value.get("match", {}), value["targets"]
    return BindingDocument(
        name=value["name"],
        policy=value["policy"],
        models=tuple(match.get("models", ())),
        risk_tiers=tuple(match.get("risk_tiers", ())),
        tags=match.get("tags", {}),
        stages=tuple(targets.get("stages", ())),
        aliases=tuple(targets.get("aliases", ())),
        parameters=value.get("parameters", {}),
    )


_Marks = dict[tuple[Any, ...], tuple[int, int]]


def _loaded(document: str) -> tuple[Any, _Marks]:
    """Return a YAML document's value and where each of its parts stands (line and column from 0)."""
    try:
        root = yaml.compose(document, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise PolicyError([Mistake(*where, f"not valid YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise PolicyError([Mistake(1, 1, f"not valid YAML: {error}")]) from None
    if root is None:
        raise PolicyError([Mistake(1, 1, "the document is empty; it needs at least kind and name")])
    marks: _Marks = {}
    _collect(root, (), marks, depth=0)
    return yaml.safe_load(document), marks


def _collect(node: yaml.Node, path: tuple[Any, ...], marks: _Marks, depth: int) -> None:
    marks[path] = (node.start_mark.line, node.start_mark.column)
    if depth > 20:
        raise PolicyError([Mistake(node.start_mark.line + 1, node.start_mark.column + 1, "nested too deeply; at most 20 levels")])
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                mark = key.start_mark
                raise PolicyError([Mistake(mark.line + 1, mark.column + 1, f"{key.value} stands here a second time; keep one")])
            seen.add(key.value)
            marks[(*path, ("key", key.value))] = (key.start_mark.line, key.start_mark.column)
            _collect(value, (*path, key.value), marks, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _collect(item, (*path, i), marks, depth + 1)


def _schema_mistakes(value: Any, marks: _Marks, schema: dict[str, Any]) -> Iterator[Mistake]:
    for error in sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path]):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = sorted(error.schema.get("properties", {}))
            for name in error.instance:
                if name not in known:
                    yield _mistake(
                        marks, (*path, ("key", name)), f"there is no field {name} here; expected one of {', '.join(known)}"
                    )
            continue
        yield _mistake(marks, path, _expected(error))


def _expected(error: Any) -> str:
    name = str(error.absolute_path[-1]) if error.absolute_path else "the document"
    kind = error.validator
    if kind == "required":
        missing = [field for field in error.validator_value if field not in error.instance]
        return f"{name} lacks {', '.join(missing)}"
    if kind == "type":
        expected = error.validator_value
        return f"{name} must be of type {expected if isinstance(expected, str) else ' or '.join(expected)}"
    if kind == "const":
        return f"{name} must be {error.validator_value}"
    if kind == "enum":
        return f"{name} must be one of {', '.join(map(str, error.validator_value))}"
    if kind == "pattern":
        return f"{name} is {error.instance!r}; expected lower-case letters, digits and hyphens, as in credit-production"
    return f"{name}: {error.message}"


def _meaning_mistakes(value: Any, parameters: tuple[Parameter, ...], marks: _Marks) -> Iterator[Mistake]:
    seen: set[str] = set()
    for i, requirement in enumerate(value["requirements"]):
        if requirement["id"] in seen:
            yield _mistake(
                marks, ("requirements", i, "id"), f"the id {requirement['id']} is used twice; each requirement needs its own"
            )
        seen.add(requirement["id"])
    for parameter in parameters:
        if parameter.default is not None and not _fits(parameter.default, parameter.type):
            yield _mistake(
                marks, ("parameters", parameter.name, "default"), f"the default {parameter.default!r} is not a {parameter.type}"
            )
    names = {p.name for p in parameters}
    for i, check in enumerate(value.get("checks", [])):
        for name in _referenced(check):
            if name not in names:
                yield _mistake(
                    marks, ("checks", i), f"${{{name}}} names no parameter; the policy has {', '.join(sorted(names)) or 'none'}"
                )


class _Compiler:
    """Compile a document's expressions, collecting mistakes at their place in the document."""

    def __init__(self, language: Language, marks: _Marks, document: str) -> None:
        self.language, self.mistakes = language, list[Mistake]()
        self._marks, self._lines = marks, document.splitlines()

    def requirement(self, i: int, item: dict[str, Any]) -> Requirement:
        path = ("requirements", i)
        shows = item.get("shows")
        return Requirement(
            id=item["id"],
            title=item["title"],
            how_to_satisfy=item["how_to_satisfy"],
            applies_if=self._expression((*path, "applies_if"), item.get("applies_if"), ("BOOL",)),
            satisfied_if=self._expression((*path, "satisfied_if"), item["satisfied_if"], ("BOOL",)),
            satisfied_if_text=item["satisfied_if"].strip(),
            shows=self._shows((*path, "shows"), shows) if shows else None,
        )

    def _shows(self, path: tuple[Any, ...], item: dict[str, Any]) -> Shows:
        plain = ("DOUBLE", "INT", "STRING", "BOOL")
        return Shows(
            value=self._expression((*path, "value"), item["value"], plain),
            limit=self._expression((*path, "limit"), item.get("limit"), plain),
            champion=self._expression((*path, "champion"), item.get("champion"), plain),
            limit_is=item.get("limit_is", "at_least"),
            evidence=item.get("evidence", ""),
        )

    def _expression(self, path: tuple[Any, ...], text: str | None, expected: tuple[str, ...]) -> Any:
        if text is None:
            return None
        try:
            return self.language.compile(text, expected)
        except ExpressionError as error:
            line, column = self._place(path, error)
            self.mistakes.append(Mistake(line, column, f"{path[-1]}: {error.message}"))
            return None

    def _place(self, path: tuple[Any, ...], error: ExpressionError) -> tuple[int, int]:
        line, column = self._marks[path]
        start = self._lines[line][column : column + 1]
        if start in ("|", ">"):
            at = line + error.line
            text = self._lines[at] if at < len(self._lines) else ""
            return at + 1, len(text) - len(text.lstrip()) + error.column
        quote = 1 if start in ("'", '"') else 0
        return line + error.line, (column + quote if error.line == 1 else 0) + error.column


def _mistake(marks: _Marks, path: tuple[Any, ...], message: str) -> Mistake:
    line, column = marks.get(path) or marks.get(path[:-1]) or (0, 0)
    return Mistake(line + 1, column + 1, message)


def _fits(value: Any, kind: str) -> bool:
    if kind == "flag":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    kinds: dict[str, tuple[type, ...]] = {"number": (int, float), "integer": (int,), "text": (str,)}
    return isinstance(value, kinds[kind])


_REFERENCE = re.compile(r"^\$\{([a-z_][a-z0-9_]*)\}$")


def _referenced(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if match := _REFERENCE.match(value):
            yield match[1]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _referenced(item)
    elif isinstance(value, list):
        for item in value:
            yield from _referenced(item)


def _substituted(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        match = _REFERENCE.match(value)
        return values[match[1]] if match else value
    if isinstance(value, dict):
        return {key: _substituted(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_substituted(item, values) for item in value]
    return value
