"""Policies as files: what a folder of documents would change here, and the files that say what holds here.

A folder is compared with the database as a whole, so that a policy can gain a parameter in the commit that gives its bindings
the value. Nothing is written here; ``governance.commands.sync`` carries a plan out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import yaml
from django.db.models import Max
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.canonical import digest
from core.documents import DocumentError, Mistake, loaded
from core.errors import Invalid
from governance import validation
from governance.bindings import in_force_or_to_come
from governance.commands.policies import same_binding
from governance.models import Binding, ParameterSet, PolicyRevision
from governance.policy import BindingDocument, CompiledPolicy, ParametersDocument, parse_binding, parse_parameters
from governance.validation import Bindable, Texts

T = TypeVar("T")

KINDS = ("Policy", "Parameters", "Binding")


@dataclass(frozen=True)
class Source:
    """A document with where it stands. line: how many lines of its file come before it."""

    file: str
    text: str
    line: int = 0


@dataclass(frozen=True, order=True)
class FileMistake:
    """One thing wrong in a file: where (counting from 1), what, and what was expected."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class Mistaken(Invalid):
    """Documents that cannot be brought in, with every mistake in any of them."""

    code = "malformed_documents"

    def __init__(self, mistakes: Iterable[FileMistake]) -> None:
        self.found = sorted(mistakes)
        super().__init__("\n".join(map(str, self.found)), mistakes=[str(each) for each in self.found])


@dataclass(frozen=True)
class Change:
    """What becomes of one document, or of a binding that no file names.

    action: ``end``, ``publish``, ``bind`` or ``unchanged``. source: None for what no file says.
    """

    action: str
    kind: str  # policy | parameters | binding
    name: str
    detail: str
    source: Source | None = None


@dataclass(frozen=True)
class Plan:
    """The changes in the order in which they are made, and what to look at although it is no mistake."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def changing(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action != "unchanged")

    @property
    def rebinding(self) -> frozenset[str]:
        """The bindings that do not go on as they are."""
        return frozenset(change.name for change in self.changing if change.kind == "binding")


def plan(actor: Actor, sources: Sequence[Source], *, prune: bool = False) -> Plan:
    """Return what these documents would change. prune: bindings that none of them names end.

    Raises Mistaken with every mistake in any of them; Denied without the right to read policies.
    """
    access.require(actor, Permission.POLICY_READ)
    return _Planning(sources, prune=prune).plan()


def exported(actor: Actor) -> dict[str, str]:
    """Return what holds here as files, path -> text: newest policies as they were published, parameters and bindings canonically.

    Bringing them in again changes nothing, and exporting after that gives the same bytes.
    """
    access.require(actor, Permission.POLICY_READ)
    files = {f"policies/{name}.yaml": revision.document for name, revision in _newest_revisions().items()}
    for row in _newest_parameters().values():
        files[f"parameters/{row.name}.yaml"] = _parameters_text(row)
    bound: dict[str, list[Binding]] = defaultdict(list)
    now = timezone.now()
    for binding in _bound(now):
        if binding.stages or binding.aliases:  # an earlier release took bindings that guard nothing
            bound[binding.name].append(binding)
    for name, rows in bound.items():
        files[f"bindings/{name}.yaml"] = "---\n".join(_binding_text(row, now) for row in rows)
    return dict(sorted(files.items()))


class _Planning:
    """One comparison of documents with the database, collecting mistakes of all of them."""

    def __init__(self, sources: Sequence[Source], *, prune: bool) -> None:
        self._sources, self._prune = sources, prune
        self._mistakes: list[FileMistake] = []
        self._now = timezone.now()
        self._policies: dict[str, tuple[Source, CompiledPolicy]] = {}
        self._parameters: dict[str, tuple[Source, ParametersDocument]] = {}
        self._bindings: dict[str, list[tuple[Source, BindingDocument]]] = defaultdict(list)
        self._unreadable: set[tuple[str, str]] = set()  # (kind, name): what refers to them is not to blame

    def plan(self) -> Plan:
        for kind, source in sorted(self._by_kind(), key=lambda pair: KINDS.index(pair[0])):
            try:
                self._read(kind, source)
            except DocumentError as error:
                self._note(source, error.mistakes)
                self._unreadable.add((kind, str(loaded(source.text)[0].get("name"))))
        texts = Texts((p for _, p in self._policies.values()), (p for _, p in self._parameters.values()))
        policies = list(self._policy_changes())
        parameters = list(self._parameter_changes(texts))
        anew = {change.name for change in parameters if change.action == "publish"}
        bindings = list(self._binding_changes(texts, anew))
        ends = [change for change in bindings if change.action == "end"]
        made = Plan(
            changes=(*ends, *policies, *parameters, *(change for change in bindings if change.action != "end")),
            warnings=tuple(w for _, policy in self._policies.values() for w in validation.group_warnings(policy)),
        )
        self._hold_what_stays(policies, made.rebinding)
        if self._mistakes:
            raise Mistaken(self._mistakes)
        return made

    def _by_kind(self) -> Iterator[tuple[str, Source]]:
        for source in self._sources:
            try:
                value, _ = loaded(source.text)
            except DocumentError as error:
                self._note(source, error.mistakes)
                continue
            kind = value.get("kind") if isinstance(value, dict) else None
            if kind in KINDS:
                yield kind, source
            else:
                self._note(source, [Mistake(1, 1, f"kind is {kind!r}; expected one of {', '.join(KINDS)}")])

    def _read(self, kind: str, source: Source) -> None:
        if kind == "Policy":
            policy = validation.policy(source.text)
            if self._first(kind, policy.name, source, self._policies.get(policy.name)):
                self._policies[policy.name] = (source, policy)
        elif kind == "Parameters":
            parameters = parse_parameters(source.text)
            if self._first(kind, parameters.name, source, self._parameters.get(parameters.name)):
                self._parameters[parameters.name] = (source, parameters)
        else:
            binding = parse_binding(source.text)
            same = next((pair for pair in self._bindings[binding.name] if pair[1].since == binding.since), None)
            if self._first(kind, binding.name, source, same):
                self._bindings[binding.name].append((source, binding))

    def _first(self, kind: str, name: str, source: Source, earlier: tuple[Source, Any] | None) -> bool:
        if earlier is not None:
            place = f"{earlier[0].file}:{earlier[0].line + 1}"
            hint = "; give one of them another since, or keep one" if kind == "Binding" else "; keep one"
            self._note_at(source, "name", f"{name} stands in {place} already{hint}")
        return earlier is None

    def _policy_changes(self) -> Iterator[Change]:
        newest = _newest_revisions()
        published: dict[str, dict[str, int]] = defaultdict(dict)
        for name, number, found in PolicyRevision.objects.filter(policy__name__in=self._policies).values_list(
            "policy__name", "number", "digest"
        ):
            published[name][found] = number
        for name, (source, policy) in sorted(self._policies.items()):
            latest = newest.get(name)
            if latest is not None and latest.digest == policy.digest:
                yield Change("unchanged", "policy", name, f"revision {latest.number}", source)
                continue
            if policy.digest in published[name]:
                number = published[name][policy.digest]
                text = (
                    f"revision {number} of {name} has this very text; change a word, so that the record shows which one was meant"
                )
                self._note_at(source, "name", text)
            yield Change("publish", "policy", name, f"revision {latest.number + 1 if latest else 1}", source)

    def _parameter_changes(self, texts: Texts) -> Iterator[Change]:
        newest = _newest_parameters()
        for name, (source, wanted) in sorted(self._parameters.items()):
            if ("Policy", wanted.policy) not in self._unreadable:
                self._examine(source, lambda text: validation.parameters(text, texts))
            latest = newest.get(name)
            if latest is not None and latest.digest == _digest(wanted.values):
                yield Change("unchanged", "parameters", name, f"revision {latest.number}", source)
            else:
                yield Change("publish", "parameters", name, f"revision {latest.number + 1 if latest else 1}", source)

    def _binding_changes(self, texts: Texts, anew: set[str]) -> Iterator[Change]:
        rows: dict[str, list[Binding]] = defaultdict(list)
        for row in _bound(self._now):
            rows[row.name].append(row)
        for name, written in sorted(self._bindings.items()):
            if written:
                yield from self._bindings_of(name, written, rows[name], texts)
        for name in sorted(set(rows) - set(self._bindings) - {n for kind, n in self._unreadable if kind == "Binding"}):
            if self._prune:
                yield Change("end", "binding", name, "no file names it")
            elif used := [row.parameters_name for row in rows[name] if row.parameters_name in anew]:
                yield Change("bind", "binding", name, f"anew, with the parameters {used[0]}")

    def _bindings_of(
        self, name: str, written: list[tuple[Source, BindingDocument]], rows: list[Binding], texts: Texts
    ) -> Iterator[Change]:
        """Compare what files say of one name with what holds and what is to come."""
        holds = next((row for row in rows if row.valid_from <= self._now), None)
        to_come = next((row for row in rows if row.valid_from > self._now), None)
        written = sorted(written, key=lambda pair: pair[1].since or datetime.min.replace(tzinfo=UTC))
        past = [pair for pair in written if pair[1].since is None or pair[1].since <= self._now]
        ahead = written[len(past) :]
        for source, _ in past[:-1]:
            yield Change("unchanged", "binding", name, f"gave way to the one since {_moment(past[-1][1].since)}", source)
        for source, _ in ahead[1:]:
            self._note_at(
                source, "since", f"one binding of {name} is to come already; give the later one when the first has begun"
            )
        moved = False
        for source, _ in past[-1:]:
            bindable = self._bindable(source, texts)
            if bindable is None:
                continue
            moved = not (holds is not None and _same(holds, bindable) and (to_come is None or bool(ahead)))
            yield self._bound_or_not(moved, bindable, source)
        for source, document in ahead[:1]:
            bindable = self._bindable(source, texts)
            if bindable is None:
                continue
            kept = to_come is not None and to_come.valid_from == document.since and _same(to_come, bindable)
            goes_on = to_come is None and holds is not None and _same(holds, bindable)
            yield self._bound_or_not(moved or not (kept or goes_on), bindable, source)

    def _bound_or_not(self, moved: bool, bindable: Bindable, source: Source) -> Change:
        document = bindable.document
        places = [f"stage {name}" for name in document.stages] + [f"alias {name}" for name in document.aliases]
        detail = f"{document.policy} ({document.mode}) on {', '.join(places)}"
        if document.since is not None and document.since > self._now:
            detail += f" from {_moment(document.since)}"
        return Change("bind" if moved else "unchanged", "binding", document.name, detail, source)

    def _bindable(self, source: Source, texts: Texts) -> Bindable | None:
        document = parse_binding(source.text)
        if {("Policy", document.policy), ("Parameters", document.parameters_name)} & self._unreadable:
            return None
        return self._examine(source, lambda text: validation.binding(text, texts))

    def _hold_what_stays(self, policies: list[Change], rebinding: frozenset[str]) -> None:
        for change in policies:
            if change.action != "publish" or change.source is None:
                continue
            broken = validation.broken_bindings(self._policies[change.name][1], rebinding=rebinding)
            for name, wrong in broken.items():
                self._note_at(change.source, "name", f"the binding {name} would be left without parameters that fit: {wrong}")

    def _examine(self, source: Source, examined: Callable[[str], T]) -> T | None:
        try:
            return examined(source.text)
        except DocumentError as error:
            self._note(source, error.mistakes)
            return None

    def _note(self, source: Source, mistakes: Iterable[Mistake]) -> None:
        self._mistakes += [FileMistake(source.file, source.line + m.line, m.column, m.message) for m in mistakes]

    def _note_at(self, source: Source, field: str, message: str) -> None:
        _, marks = loaded(source.text)
        line, column = marks.get((field,), (0, 0))
        self._mistakes.append(FileMistake(source.file, source.line + line + 1, column + 1, message))


def _same(row: Binding, bindable: Bindable) -> bool:
    return same_binding(row, bindable.document, bindable.parameters)


def _newest_revisions() -> dict[str, PolicyRevision]:
    numbers = PolicyRevision.objects.values("policy_id").annotate(newest=Max("number")).values_list("policy_id", "newest")
    newest = dict(numbers)
    rows = PolicyRevision.objects.filter(number__in=set(newest.values())).select_related("policy").order_by("policy__name")
    return {row.policy.name: row for row in rows if newest[row.policy_id] == row.number}


def _newest_parameters() -> dict[str, ParameterSet]:
    rows = ParameterSet.objects.select_related("policy").order_by("name", "number")
    return {row.name: row for row in rows}


def _bound(at: datetime) -> list[Binding]:
    """Return the bindings in force and to come, by name, what holds first."""
    return list(Binding.objects.filter(in_force_or_to_come(at)).select_related("policy").order_by("name", "valid_from"))


def _digest(values: Mapping[str, Any]) -> str:
    try:
        return digest(dict(values))
    except ValueError:  # told as a mistake by who examines the values
        return ""


def _moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "the beginning"


class _Plain(yaml.SafeDumper):
    """Canonical YAML: every value written out where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**9)


def _parameters_text(row: ParameterSet) -> str:
    return _text({"kind": "Parameters", "name": row.name, "policy": row.policy.name, "values": dict(sorted(row.values.items()))})


def _binding_text(row: Binding, now: datetime) -> str:
    match = {
        "models": row.models_matching,
        "risk_tiers": row.risk_tiers,
        "tags": dict(sorted(row.tags.items())),
    }
    targets = {"stages": row.stages, "aliases": row.aliases}
    document: dict[str, Any] = {"kind": "Binding", "name": row.name, "policy": row.policy.name, "mode": row.mode}
    if row.valid_from > now:
        document["since"] = _moment(row.valid_from)
    if match := {key: value for key, value in match.items() if value}:
        document["match"] = match
    document["targets"] = {key: value for key, value in targets.items() if value}
    if row.parameters_name:
        document["parameters"] = row.parameters_name
    elif row.parameters:
        document["parameters"] = dict(sorted(row.parameters.items()))
    return _text(document)
