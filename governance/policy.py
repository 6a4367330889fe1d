"""A policy document -> compiled requirements, steps and rules; every mistake with its line, its column and what was expected. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from core.canonical import text_digest
from core.documents import DocumentError, Marks, Mistake, loaded, mistake, position, schema_mistakes
from governance.calendars import CalendarError, Duration, Window, parse_duration, window
from governance.expressions import Expression, ExpressionError, Language, language
from governance.facts import WORKER
from governance.reads import Reads
from governance.schemas import BINDING_SCHEMA, PARAMETERS_SCHEMA, POLICY_SCHEMA

# What a reviewer decides on can never be called immaterial.
ALWAYS_MATERIAL = ("content", "policies")
# What the gate calls the result that says whether somebody objects.
OBJECTION = "no-open-objection"
# What it calls the result for a policy that guards the place and that the request does not pin.
UNASKED = "every-policy-is-asked"


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
    override_if: Any | None
    override_if_text: str
    shows: Shows | None
    waivable: bool
    material: bool
    measurements: tuple[str, ...]  # the candidate's and the champion's that its expressions name
    any_measurement: bool = False  # it may look at others, too
    gains_by_absence: bool = False  # evidence that is not there could turn it to the better: it waits for every check


@dataclass(frozen=True)
class CheckRequest:
    """A check that workers run when a promotion is asked for, or whose result a pipeline elsewhere reports.

    source: ``worker`` or ``reported``. Strings of the form ``${name}`` stand for parameters.
    """

    check: str
    dataset: str
    parameters: Mapping[str, Any]
    source: str = WORKER

    def resolved(self, values: Mapping[str, Any]) -> CheckRequest:
        """Return the check with parameters put in."""
        return replace(
            self, dataset=str(_substituted(self.dataset, values)), parameters=_substituted(dict(self.parameters), values)
        )


@dataclass(frozen=True)
class Factor:
    """So many people of one group must approve; a person counts for one factor of a policy only."""

    group: str
    count: int
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """Factors that are asked for together. due: how long after the step opened."""

    name: str
    title: str
    applies_if: Any | None
    factors: tuple[Factor, ...]
    due: Duration | None
    escalate_to: str
    gains_by_absence: bool = False  # evidence that is not there could make it not apply


def factor_id(step: str, groups: Sequence[str], i: int) -> str:
    """Return how results call a factor: ``review-risk``, or ``review-2`` where a step names a group twice."""
    return f"{step}-{groups[i]}" if groups.count(groups[i]) == 1 else f"{step}-{i + 1}"


@dataclass(frozen=True)
class WaiverRule:
    """Who may approve a waiver, and for how long at most."""

    approved_by: str
    max_days: int


@dataclass(frozen=True)
class Release:
    """When an approved request is carried out: by itself or on demand, and inside which windows if there are any."""

    on_demand: bool = False
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Validity:
    """How long an approval holds (None: without end), what else asks for a re-review, and when that is due."""

    days: int | None = None
    re_review_on: tuple[str, ...] = ()
    due: Duration | None = None
    escalate_to: str = ""


@dataclass(frozen=True)
class Rollback:
    """The steps of a return to a version that held the place before, while its approvals stand."""

    steps: tuple[Step, ...]
    within_days: int | None


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
    sequential: bool
    steps: tuple[Step, ...]
    calendar: str
    materiality: tuple[tuple[str, bool], ...]
    waivers: WaiverRule | None
    signature_meanings: tuple[str, ...]
    release: Release
    validity: Validity
    rollback: Rollback | None
    expires_after_days: int | None
    escalates_on_timeout: bool
    reads: Reads  # all that its expressions look at

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

    def is_material(self, path: str) -> bool:
        """Return whether a change of this part of what was reviewed, such as ``card.intended_use``, makes reviews stale.

        The first pattern that fits decides, then the requirements that name a measurement: material if one of them is.
        Content and policies always are; so is what nothing mentions.
        """
        if path.split(".")[0] in ALWAYS_MATERIAL:
            return True
        for pattern, material in self.materiality:
            if fnmatch.fnmatchcase(path, pattern):
                return material
        key = path.removeprefix("champion.").removeprefix("measurements.")
        if key == path.removeprefix("champion."):
            return True
        named = [r.material for r in self.requirements if key in r.measurements or r.any_measurement]
        return any(named) if named else True


@dataclass(frozen=True)
class ParametersDocument:
    """Named values for a policy's parameters, which several bindings may share."""

    name: str
    policy: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class BindingDocument:
    """Which models' way to which targets a policy guards, since when and how, and with which parameters.

    parameters_name: published parameters to take, instead of values of its own.
    """

    name: str
    policy: str
    mode: str
    since: datetime | None
    models: tuple[str, ...]
    risk_tiers: tuple[str, ...]
    tags: Mapping[str, str]
    stages: tuple[str, ...]
    aliases: tuple[str, ...]
    parameters: Mapping[str, Any]
    parameters_name: str


@lru_cache(maxsize=512)
def compile_policy(document: str) -> CompiledPolicy:
    """Return the compiled policy. Raises DocumentError with every mistake's line, column and remedy."""
    value, marks = loaded(document)
    mistakes = list(schema_mistakes(value, marks, POLICY_SCHEMA))
    if mistakes:
        raise DocumentError(mistakes)
    parameters = tuple(
        Parameter(name, spec["type"], spec.get("default"), spec.get("description", ""))
        for name, spec in value.get("parameters", {}).items()
    )
    compiler = _Compiler(language(tuple((p.name, p.type) for p in parameters)), marks, document)
    policy = compiler.policy(value, parameters)
    mistakes = compiler.mistakes + list(_meaning_mistakes(value, parameters, marks))
    if mistakes:
        raise DocumentError(sorted(mistakes, key=lambda m: (m.line, m.column)))
    return policy


def parse_parameters(document: str) -> ParametersDocument:
    """Return the named parameters a document says. Raises DocumentError."""
    value, marks = loaded(document)
    if mistakes := list(schema_mistakes(value, marks, PARAMETERS_SCHEMA)):
        raise DocumentError(mistakes)
    return ParametersDocument(value["name"], value["policy"], value["values"])


def parse_binding(document: str) -> BindingDocument:
    """Return the binding a document says. Raises DocumentError with every mistake's line, column and remedy."""
    value, marks = loaded(document)
    if mistakes := list(schema_mistakes(value, marks, BINDING_SCHEMA)):
        raise DocumentError(mistakes)
    match, targets, parameters = value.get("match", {}), value["targets"], value.get("parameters", {})
    try:
        since = _moment(value["since"]) if "since" in value else None
    except ValueError as error:
        raise DocumentError([mistake(marks, ("since",), f"since: {error}; give a date such as 2026-01-31")]) from None
    return BindingDocument(
        name=value["name"],
        policy=value["policy"],
        mode=value.get("mode", "enforce"),
        since=since,
        models=tuple(match.get("models", ())),
        risk_tiers=tuple(match.get("risk_tiers", ())),
        tags=match.get("tags", {}),
        stages=tuple(targets.get("stages", ())),
        aliases=tuple(targets.get("aliases", ())),
        parameters=parameters if isinstance(parameters, dict) else {},
        parameters_name=parameters if isinstance(parameters, str) else "",
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z")


def _meaning_mistakes(value: dict[str, Any], parameters: tuple[Parameter, ...], marks: Marks) -> Iterator[Mistake]:
    yield from _repeated(value["requirements"], "id", ("requirements",), marks)
    for path, steps in _step_lists(value):
        yield from _repeated(steps, "name", path, marks)
    for parameter in parameters:
        if parameter.default is not None and not _fits(parameter.default, parameter.type):
            yield mistake(
                marks, ("parameters", parameter.name, "default"), f"the default {parameter.default!r} is not a {parameter.type}"
            )
    yield from _reference_mistakes(value, parameters, marks)
    for pattern in value.get("materiality", {}):
        if pattern.split(".")[0] in ALWAYS_MATERIAL and value["materiality"][pattern] == "immaterial":
            yield mistake(
                marks, ("materiality", ("key", pattern)), f"{pattern} is what reviewers sign and is always material; take it out"
            )
    yield from _same_hands(value, marks)
    yield from _factor_names(value, marks)
    yield from _without_effect(value, marks)


def _reference_mistakes(value: dict[str, Any], parameters: tuple[Parameter, ...], marks: Marks) -> Iterator[Mistake]:
    types = {p.name: p.type for p in parameters}
    asked: set[str] = set()
    for i, check in enumerate(value.get("checks", [])):
        if check["check"] in asked:
            yield mistake(
                marks,
                ("checks", i, "check"),
                f"{check['check']} is asked for above, and its measurements are told apart by name only; ask for it once in a policy",
            )
        asked.add(check["check"])
        for path, text in _texts(check):
            place = ("checks", i, *path)
            match = _REFERENCE.match(text)
            if match is None:
                if "${" in text:
                    yield mistake(marks, place, "a parameter stands for a whole value; write ${name} with nothing around it")
            elif match[1] not in types:
                yield mistake(marks, place, f"{text} names no parameter; the policy has {', '.join(sorted(types)) or 'none'}")
            elif path == ("dataset",) and types[match[1]] != "text":
                yield mistake(marks, place, f"{text} is a {types[match[1]]}; a data set's name needs a parameter of type text")


def _factor_names(value: dict[str, Any], marks: Marks) -> Iterator[Mistake]:
    """Results are told apart by policy and id, so a factor's must differ from the requirements' and the other factors'."""
    for path, steps in _step_lists(value):
        seen = {item["id"] for item in value["requirements"]} | {OBJECTION, UNASKED}
        for i, step in enumerate(steps):
            groups = [factor["group"] for factor in step["factors"]]
            for j in range(len(groups)):
                name = factor_id(step["name"], groups, j)
                if name in seen:
                    yield mistake(
                        marks, (*path, i, "factors", j), f"its result would be called {name}, as another is; rename the step"
                    )
                seen.add(name)


def _without_effect(value: dict[str, Any], marks: Marks) -> Iterator[Mistake]:
    if "rollback" in value and "steps" not in value:
        yield mistake(marks, ("rollback",), "rollback shortens the steps, and the policy has none; give it steps")
    if "on_timeout" in value and "expires_after_days" not in value:
        yield mistake(marks, ("on_timeout",), "on_timeout follows expires_after_days, which is not given; give it")
    for path, part in [
        *(((*path, i), step) for path, steps in _step_lists(value) for i, step in enumerate(steps)),
        (("validity",), value.get("validity", {})),
    ]:
        if "escalate_to" in part and "due" not in part:
            yield mistake(marks, (*path, "escalate_to"), "nobody is told as long as nothing is due; give due beside escalate_to")
    validity = value.get("validity", {})
    if validity and "days" not in validity and not validity.get("re_review_on"):
        yield mistake(marks, ("validity",), "validity asks for no re-review; give days or re_review_on")


def _repeated(items: list[dict[str, Any]], key: str, path: tuple[Any, ...], marks: Marks) -> Iterator[Mistake]:
    seen: set[str] = set()
    for i, item in enumerate(items):
        if item[key] in seen:
            yield mistake(marks, (*path, i, key), f"the {key} {item[key]} is used twice; each needs its own")
        seen.add(item[key])


def _step_lists(value: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    if "steps" in value:
        yield ("steps",), value["steps"]
    if "rollback" in value:
        yield ("rollback", "steps"), value["rollback"]["steps"]


def _same_hands(value: dict[str, Any], marks: Marks) -> Iterator[Mistake]:
    """Whoever reviews must not also be able to waive what is reviewed."""
    waives = value.get("waivers", {}).get("approved_by")
    for path, steps in _step_lists(value):
        for i, step in enumerate(steps):
            for j, factor in enumerate(step["factors"]):
                if factor["group"] == waives:
                    yield mistake(
                        marks,
                        (*path, i, "factors", j, "group"),
                        f"{waives} also approves waivers; a waiver needs a group that does not review",
                    )


class _Compiler:
    """Compile a document's expressions, collecting mistakes at their place in the document."""

    def __init__(self, language: Language, marks: Marks, document: str) -> None:
        self.language, self.mistakes, self._compiled = language, list[Mistake](), list[Expression | None]()
        self._marks, self._document = marks, document

    def policy(self, value: dict[str, Any], parameters: tuple[Parameter, ...]) -> CompiledPolicy:
        """Return the policy; worth something only if there are no mistakes."""
        waivers, validity, rollback = value.get("waivers"), value.get("validity", {}), value.get("rollback")
        return CompiledPolicy(
            name=value["name"],
            title=value.get("title", value["name"]),
            description=value.get("description", ""),
            digest=text_digest(self._document),
            language=self.language,
            parameters=parameters,
            checks=tuple(
                CheckRequest(c["check"], c.get("dataset", ""), c.get("with", {}), c.get("source", WORKER))
                for c in value.get("checks", [])
            ),
            requirements=tuple(self._requirement(i, item) for i, item in enumerate(value["requirements"])),
            sequential=value.get("order", "sequential") == "sequential",
            steps=self._steps(("steps",), value.get("steps", [])),
            calendar=value.get("calendar", ""),
            materiality=tuple((pattern, word == "material") for pattern, word in value.get("materiality", {}).items()),
            waivers=WaiverRule(waivers["approved_by"], waivers["max_days"]) if waivers else None,
            signature_meanings=tuple(value.get("signature", {}).get("meanings", ())),
            release=self._release(value.get("release", {})),
            validity=Validity(
                validity.get("days"),
                tuple(validity.get("re_review_on", ())),
                self._duration(("validity", "due"), validity.get("due")),
                validity.get("escalate_to", ""),
            ),
            rollback=Rollback(self._steps(("rollback", "steps"), rollback["steps"]), rollback.get("within_days"))
            if rollback
            else None,
            expires_after_days=value.get("expires_after_days"),
            escalates_on_timeout=value.get("on_timeout") == "escalate",
            reads=_read(self._compiled),  # last: by now every expression is compiled
        )

    def _requirement(self, i: int, item: dict[str, Any]) -> Requirement:
        path = ("requirements", i)
        deciding = [
            self._expression((*path, key), item.get(key), ("BOOL",)) for key in ("applies_if", "satisfied_if", "override_if")
        ]
        applies_if, satisfied_if, override_if = deciding
        shows = self._shows((*path, "shows"), item["shows"]) if "shows" in item else None
        shown = [shows.value, shows.limit, shows.champion] if shows else []
        named = _read([*deciding, *shown]).measurements()
        return Requirement(
            id=item["id"],
            title=item["title"],
            how_to_satisfy=item["how_to_satisfy"],
            applies_if=applies_if,
            satisfied_if=satisfied_if,
            satisfied_if_text=item["satisfied_if"].strip(),
            override_if=override_if,
            override_if_text=item.get("override_if", "").strip(),
            shows=shows,
            waivable=item.get("waivable", True),
            material=item.get("materiality", "material") == "material",
            measurements=named or (),
            any_measurement=named is None,
            gains_by_absence=_read(deciding).gains_by_absence(),
        )

    def _steps(self, path: tuple[Any, ...], items: list[dict[str, Any]]) -> tuple[Step, ...]:
        return tuple(self._step((*path, i), item) for i, item in enumerate(items))

    def _step(self, path: tuple[Any, ...], item: dict[str, Any]) -> Step:
        applies_if = self._expression((*path, "applies_if"), item.get("applies_if"), ("BOOL",))
        return Step(
            name=item["name"],
            title=item.get("title", item["name"]),
            applies_if=applies_if,
            factors=tuple(Factor(f["group"], f["count"], tuple(f.get("constraints", ()))) for f in item["factors"]),
            due=self._duration((*path, "due"), item.get("due")),
            escalate_to=item.get("escalate_to", ""),
            gains_by_absence=_read([applies_if]).gains_by_absence(),
        )

    def _release(self, item: dict[str, Any]) -> Release:
        windows = [self._window(("release", "windows", i), spec) for i, spec in enumerate(item.get("windows", []))]
        return Release(item.get("execute") == "on_demand", tuple(made for made in windows if made is not None))

    def _window(self, path: tuple[Any, ...], spec: dict[str, Any]) -> Window | None:
        duration = self._duration((*path, "duration"), spec["duration"])
        if duration is None:
            return None
        zone, begins, lasts = spec["timezone"], datetime(2026, 1, 5), timedelta(hours=1)  # noqa: DTZ001 local times
        # One part after the other joins what works, so that a mistake stands at its own place.
        part = "timezone"
        try:
            window(begins, lasts, zone)
            part = "starts"
            begins = datetime.fromisoformat(spec["starts"])
            window(begins, lasts, zone)
            part = "duration"
            lasts = _clock_time(duration)
            window(begins, lasts, zone)
            part = "rrule"
            return window(begins, lasts, zone, spec.get("rrule", ""))
        except (CalendarError, ValueError) as error:
            self.mistakes.append(mistake(self._marks, (*path, part), f"{part}: {error}"))
            return None

    def _duration(self, path: tuple[Any, ...], text: str | None) -> Duration | None:
        if text is None:
            return None
        try:
            return parse_duration(text)
        except CalendarError as error:
            self.mistakes.append(mistake(self._marks, path, str(error)))
            return None

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
            self._compiled.append(self.language.compile(text, expected))
            return self._compiled[-1]
        except ExpressionError as error:
            line, column = position(self._document, self._marks[path], text, error.line, error.column)
            self.mistakes.append(Mistake(line, column, f"{path[-1]}: {error.message}"))
            return None


def _read(expressions: Iterable[Expression | None]) -> Reads:
    found = Reads()
    for expression in expressions:
        found = found | expression.reads if expression is not None else found
    return found


def _clock_time(duration: Duration) -> timedelta:
    if duration.business:
        raise CalendarError("a window lasts plain hours or days, not business time")
    return timedelta(**{f"{duration.unit}s": duration.amount})


def _fits(value: Any, kind: str) -> bool:
    if kind == "flag":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    kinds: dict[str, tuple[type, ...]] = {"number": (int, float), "integer": (int,), "text": (str,)}
    return isinstance(value, kinds[kind])


_REFERENCE = re.compile(r"^\$\{([a-z_][a-z0-9_]*)\}$")


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*path, key))


def _substituted(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        match = _REFERENCE.match(value)
        return values[match[1]] if match else value
    if isinstance(value, dict):
        return {key: _substituted(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_substituted(item, values) for item in value]
    return value
