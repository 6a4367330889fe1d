"""What policies, parameters and bindings must fit besides their schemas: one another, the stages, the checks and the data sets.

Every mistake is told with its line and column, so that a single document and a whole folder are refused alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone

from core.access import ROLE_GRANTS, Permission
from core.documents import DocumentError, Marks, Mistake, Path, loaded, mistake
from core.errors import Invalid
from core.models import User
from governance.bindings import in_force_or_to_come
from governance.checks import catalogue
from governance.commands.checks import reported_checks, resolve_checks
from governance.facts import REPORTED
from governance.models import Binding, ParameterSet, PolicyRevision
from governance.policy import (
    BindingDocument,
    CheckRequest,
    CompiledPolicy,
    ParametersDocument,
    compile_policy,
    parse_binding,
    parse_parameters,
)
from registry.models import Stage

# PostgreSQL gives 1e17 back as a whole number, and beyond this one those have no canonical form (RFC 8785) to be recorded in.
LARGEST_NUMBER = 2**53 - 1


class Texts:
    """The newest policies and named parameters: those given, as in a folder that is about to be published, else those published."""

    def __init__(self, policies: Iterable[CompiledPolicy] = (), parameters: Iterable[ParametersDocument] = ()) -> None:
        self._policies: dict[str, CompiledPolicy | None] = {policy.name: policy for policy in policies}
        self._parameters: dict[str, ParametersDocument | None] = {each.name: each for each in parameters}

    def policy(self, name: str) -> CompiledPolicy | None:
        """Return a policy's newest text; None if there is none. Raises Invalid for one that this release cannot read."""
        if name not in self._policies:
            revision = PolicyRevision.objects.filter(policy__name=name).order_by("-number").first()
            self._policies[name] = readable(name, revision.document) if revision else None
        return self._policies[name]

    def parameters(self, name: str) -> ParametersDocument | None:
        """Return the newest values published under a name; None if there are none."""
        if name not in self._parameters:
            found = ParameterSet.objects.filter(name=name).select_related("policy").order_by("-number").first()
            self._parameters[name] = ParametersDocument(name, found.policy.name, found.values) if found else None
        return self._parameters[name]


@dataclass(frozen=True)
class Bindable:
    """A binding document that may be put in force, with the values its parameters come to."""

    document: BindingDocument
    parameters: Mapping[str, Any]


def readable(name: str, document: str) -> CompiledPolicy:
    """Return a published policy compiled. Raises Invalid for one from before this release that it cannot read."""
    try:
        return compile_policy(document)
    except DocumentError as error:
        raise Invalid(
            f"The newest revision of the policy {name} is from an earlier release and cannot be read: {error}. Publish it anew.",
            code="outdated_policy",
        ) from None


def policy(document: str) -> CompiledPolicy:
    """Return a policy that may be published. Raises DocumentError, also for checks that workers do not have."""
    compiled = compile_policy(document)
    value, marks = loaded(document)
    known = catalogue.available()
    wrong = list(_unstorable(value, marks))
    for i, request in enumerate(compiled.checks):
        if request.source == REPORTED:
            continue  # what is measured elsewhere, and on what, is said there
        if request.check in known:
            wrong += _wrong_check(request, marks, ("checks", i))
        else:
            message = f"there is no check {request.check}; there are {', '.join(known)}"
            wrong.append(mistake(marks, ("checks", i, "check"), message))
    if wrong:
        raise DocumentError(_in_order(wrong))
    return compiled


def _wrong_check(request: CheckRequest, marks: Marks, path: Path) -> Iterator[Mistake]:
    """Yield what a check that is installed here does not take; what stands for a policy's parameter is looked at where it is bound."""
    open_names = frozenset(name for name, value in request.parameters.items() if "${" in str(value))
    for wrong in catalogue.mistakes(request.check, request.parameters, open_names):
        yield mistake(marks, (*path, "with", *wrong.path), f"the check {request.check}: {wrong}")
    if catalogue.available()[request.check].needs_dataset and not request.dataset:
        yield mistake(marks, (*path, "check"), f"the check {request.check} measures on a data set; name one under dataset")


def parameters(document: str, texts: Texts) -> ParametersDocument:
    """Return named parameters that may be published. Raises DocumentError if they do not fit their policy or anything bound."""
    wanted = parse_parameters(document)
    value, marks = loaded(document)
    wrong = list(_unstorable(value, marks))
    of = texts.policy(wanted.policy)
    if of is None:
        wrong.append(_no_policy(marks, wanted.policy))
    else:
        wrong += _wrong_values(of, wanted.values, marks, ("values",))
        # The name belongs to the policy it was first published for: bindings of that policy look it up.
        earlier = ParameterSet.objects.filter(name=wanted.name).select_related("policy").first()
        if earlier is not None and earlier.policy.name != wanted.policy:
            text = f"the parameters {wanted.name} are of the policy {earlier.policy.name}; take another name"
            wrong.append(mistake(marks, ("name",), text))
        # Values that nothing goes by yet may name data sets to come.
        if not wrong and Binding.objects.filter(in_force_or_to_come(timezone.now()), parameters_name=wanted.name).exists():
            wrong += _wrong_checks(of, wanted.values, marks, ("policy",))
    if wrong:
        raise DocumentError(_in_order(wrong))
    return wanted


def binding(document: str, texts: Texts) -> Bindable:
    """Return a binding that may be put in force. Raises DocumentError with every mistake."""
    wanted = parse_binding(document)
    value, marks = loaded(document)
    wrong = [*_unstorable(value, marks), *_wrong_stages(wanted, marks)]
    of = texts.policy(wanted.policy)
    given = texts.parameters(wanted.parameters_name) if wanted.parameters_name else None
    values = given.values if given else wanted.parameters
    if of is None:
        wrong.append(_no_policy(marks, wanted.policy))
    elif value.get("parameters") == "":
        wrong.append(
            mistake(marks, ("parameters",), "parameters is empty; give values, the name of published ones, or take it out")
        )
    elif wanted.parameters_name and given is None:
        text = f"there are no parameters {wanted.parameters_name}; publish them before you bind with them, or give values here"
        wrong.append(mistake(marks, ("parameters",), text))
    elif given is not None and given.policy != wanted.policy:
        text = f"the parameters {given.name} are of the policy {given.policy}, not of {wanted.policy}"
        wrong.append(mistake(marks, ("parameters",), text))
    else:
        wrong += _wrong_values(of, values, marks, ("parameters",))
        if not wrong:
            wrong += _wrong_checks(of, values, marks, ("policy",))
    if wrong:
        raise DocumentError(_in_order(wrong))
    return Bindable(wanted, dict(values))


def broken_bindings(policy: CompiledPolicy, *, rebinding: Iterable[str] = ()) -> dict[str, str]:
    """Return the bindings, in force or to come, whose parameters a policy's new text would not take: name -> what is wrong.

    rebinding: those that the caller is about to bind anew, and that need not fit.
    """
    rows = Binding.objects.filter(in_force_or_to_come(timezone.now()), policy__name=policy.name)
    broken: dict[str, list[str]] = {}
    for row in rows.exclude(name__in=list(rebinding)).order_by("name", "valid_from"):
        wrong = policy.wrong_parameters(row.parameters)
        if not wrong:
            wrong = [m.message for m in _wrong_checks(policy, row.parameters, {}, ())]
        broken.setdefault(row.name, []).extend(wrong)
    return {name: "; ".join(dict.fromkeys(wrong)) for name, wrong in broken.items() if wrong}


def group_warnings(policy: CompiledPolicy) -> tuple[str, ...]:
    """Return what is missing among the groups that a policy names: the gate stays shut until it is there. Two statements."""
    named: dict[str, int] = {}
    steps = [*policy.steps, *(policy.rollback.steps if policy.rollback else ())]
    for step in steps:
        for factor in step.factors:
            named[factor.group] = max(named.get(factor.group, 0), factor.count)
    told = [policy.validity.escalate_to, *(step.escalate_to for step in steps)]
    told += [policy.waivers.approved_by] if policy.waivers else []
    for group in filter(None, told):
        named.setdefault(group, 0)
    return tuple(_missing_people(policy, named))


def _missing_people(policy: CompiledPolicy, named: Mapping[str, int]) -> Iterator[str]:
    """named: group -> how many of its people must review at most."""
    if not named:
        return
    reviewing = [role for role, grants in ROLE_GRANTS.items() if Permission.PROMOTION_REVIEW in grants]
    reviewers = User.objects.filter(is_active=True, groups__name__in=reviewing)
    able = Counter(Group.objects.filter(name__in=named, user__in=reviewers.values("pk")).values_list("name", flat=True))
    known = set(Group.objects.filter(name__in=named).values_list("name", flat=True))
    for group, count in named.items():
        if group not in known:
            yield f"There is no group {group}, which {policy.name} names: make it and put people into it."
        elif able[group] < count:
            yield (
                f"{policy.name} asks for {count} of {group}, and {able[group]} there may review: the gate stays shut until there "
                f"are enough with the right to review."
            )


def _wrong_stages(wanted: BindingDocument, marks: Marks) -> Iterator[Mistake]:
    stages = list(Stage.objects.order_by("position").values_list("name", flat=True)) if wanted.stages else []
    for i, name in enumerate(wanted.stages):
        if name not in stages:
            yield mistake(marks, ("targets", "stages", i), f"there is no stage {name}; the stages are {', '.join(stages)}")


def _no_policy(marks: Marks, name: str) -> Mistake:
    return mistake(marks, ("policy",), f"there is no policy {name}; publish it before you bind it")


def _wrong_values(policy: CompiledPolicy, values: Mapping[str, Any], marks: Marks, path: Path) -> Iterator[Mistake]:
    """Yield what does not fit, each at the value it is about, and what is missing at what holds the values."""
    missing = policy.wrong_parameters({})
    told = set[str]()
    for name, value in values.items():
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            yield mistake(marks, (*path, name), f"{name} is {value}; the largest number that can be recorded is {LARGEST_NUMBER}")
        for message in policy.wrong_parameters({name: value}):
            if message not in missing:
                told.add(message)
                yield mistake(marks, (*path, name), message)
    for message in policy.wrong_parameters(values):
        if message not in told:
            yield mistake(marks, path, message)


def _wrong_checks(policy: CompiledPolicy, values: Mapping[str, Any], marks: Marks, path: Path) -> Iterator[Mistake]:
    try:
        resolve_checks(policy, values)
        reported_checks(policy, values)
    except Invalid as error:
        yield mistake(marks, path, error.message)


def _unstorable(value: Any, marks: Marks, path: Path = ()) -> Iterator[Mistake]:
    """Yield the texts that no database or ledger takes."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _unstorable(key, marks, (*path, ("key", key)))
            yield from _unstorable(inner, marks, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _unstorable(inner, marks, (*path, i))
    elif isinstance(value, str) and ("\0" in value or any("\ud800" <= character <= "\udfff" for character in value)):
        yield mistake(marks, path, "the text holds a character that is none (NUL or half a pair); take it out")


def _in_order(wrong: list[Mistake]) -> list[Mistake]:
    return sorted(wrong, key=lambda m: (m.line, m.column))
