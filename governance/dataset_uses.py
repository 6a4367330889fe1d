"""Which checks of the policies in force measure on a data set: what depends on it before it is changed or recalled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core import access
from core.access import Actor, Permission
from core.documents import DocumentError
from governance import queries
from governance.checks import catalogue, parameters
from governance.policy import CheckRequest, CompiledPolicy, compile_policy


@dataclass(frozen=True)
class DatasetUse:
    """A check that a policy has measured on a data set where a binding puts it in force, now or later.

    mode: of the binding, whose state is ``in_force`` or ``to_come``. reference: the data set as the policy names it, ``name`` for its
    newest version or ``name@v2``. source: ``worker`` or ``reported``.
    """

    policy: str
    binding: str
    mode: str
    state: str
    check: str
    source: str
    reference: str


def dataset_uses(actor: Actor, name: str) -> list[DatasetUse]:
    """Return which checks of the bindings in force or to come measure on a data set, by policy; three statements. Raises Denied.

    A policy counts with its newest revision, which new requests pin.
    """
    access.require(actor, Permission.DATASET_READ)
    found = []
    for policy in queries.policies(actor):
        compiled = _compiled(policy.revisions[0].document)
        if compiled is None:
            continue
        for binding in [*policy.bindings, *policy.to_come]:
            values = compiled.effective(binding.parameters)
            for check in (request.resolved(values) for request in compiled.checks):
                found += [
                    DatasetUse(policy.name, binding.name, binding.mode, binding.state, check.check, check.source, reference)
                    for reference in dict.fromkeys(_named(check))
                    if reference.partition("@v")[0] == name
                ]
    return found


def _compiled(document: str) -> CompiledPolicy | None:
    try:
        return compile_policy(document)
    except DocumentError:  # from an earlier release: nothing is asked by it until it is published anew
        return None


def _named(request: CheckRequest) -> Iterator[str]:
    """Yield the data sets that a check names: the one it measures on, and those among its parameters."""
    yield request.dataset
    try:
        check = catalogue.build(request.check, request.parameters)
    except ValueError:
        return  # a check that is reported need not be installed here
    yield from parameters.dataset_names(check).values()
