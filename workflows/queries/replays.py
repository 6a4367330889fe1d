"""Recompute stored decisions from their facts and say whether they come out the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from core import access
from core.access import Actor, Permission
from core.canonical import canonical, text_digest
from core.documents import DocumentError
from core.errors import Invalid, NotFound
from governance import gate
from governance.gate import Verdict
from governance.models import Decision
from workflows.assessment import recompute


@dataclass(frozen=True)
class StateDifference:
    """A requirement that comes out in another state; null where one of the verdicts lacks it."""

    policy: str
    id: str
    stored: str | None
    recomputed: str | None


@dataclass(frozen=True)
class Replayed:
    """A decision recomputed from its stored facts under the policies it names.

    compared: ``bytes`` if the gate's revision is the one that decided: the verdicts must be equal byte for byte as canonical
    JSON; ``states`` if it is another: outcome and each requirement's state must be. problem: why it cannot be recomputed, or
    what of the row was altered; empty if neither.
    """

    id: UUID
    same: bool
    compared: str
    gate_revision: int
    current_gate_revision: int
    verdict_digest: str
    recomputed_digest: str
    problem: str
    differences: list[StateDifference]
    verdict: Verdict | None


def replay(actor: Actor, decision_id: UUID | str) -> Replayed:
    """Recompute one decision on a model the actor may see. Raises NotFound. Changes nothing."""
    rows = Decision.objects.select_related("version__model")
    found = access.visible(actor, rows, Permission.MODEL_READ, "version__model").filter(pk=decision_id).first()
    if found is None:
        raise NotFound(f"There is no decision {decision_id}, or you may not see it.")
    return replayed(found)


def replay_all(actor: Actor) -> Iterator[Replayed]:
    """Recompute every decision there is, oldest first. Raises Denied without the right to audit."""
    access.require(actor, Permission.AUDIT_READ)
    for decision in Decision.objects.order_by("decided_at", "pk").iterator(chunk_size=100):
        yield replayed(decision)


def replayed(decision: Decision) -> Replayed:
    """Recompute one decision."""
    verdict, problem = _recomputed(decision)
    again = canonical(msgspec.to_builtins(verdict)) if verdict is not None else ""
    compared = "bytes" if decision.gate_revision == gate.REVISION else "states"
    differences = list(_differences(json.loads(decision.verdict), json.loads(again))) if verdict is not None else []
    equal = again == decision.verdict if compared == "bytes" else not differences and _outcome(verdict) == decision.outcome
    return Replayed(
        id=decision.pk,
        same=equal and not problem,
        compared=compared,
        gate_revision=decision.gate_revision,
        current_gate_revision=gate.REVISION,
        verdict_digest=decision.verdict_digest,
        recomputed_digest=text_digest(again) if verdict is not None else "",
        problem=problem,
        differences=differences,
        verdict=verdict,
    )


def _recomputed(decision: Decision) -> tuple[Verdict | None, str]:
    """Return the verdict and what is wrong with the row, if anything is."""
    problem = ""
    if text_digest(decision.facts) != decision.facts_digest:
        problem = "the facts are not those that the digest was made of"
    elif text_digest(decision.verdict) != decision.verdict_digest:
        problem = "the verdict is not the one that the digest was made of"
    elif json.loads(decision.verdict)["satisfied"] != (decision.outcome == "satisfied"):
        problem = "the outcome is not the verdict's"
    try:
        return recompute(decision), problem
    except LookupError as error:
        return None, problem or str(error)
    except (DocumentError, Invalid) as error:
        return None, problem or f"a policy it names is of an earlier release that this one cannot read: {error}"
    except (msgspec.DecodeError, json.JSONDecodeError) as error:
        return None, problem or f"the facts are of an earlier release that this one cannot read: {error}"


def _outcome(verdict: Verdict | None) -> str:
    return "satisfied" if verdict is not None and verdict.satisfied else "blocked"


def _differences(stored: dict[str, Any], again: dict[str, Any]) -> Iterator[StateDifference]:
    """Pair the requirements by policy, id and, for a policy bound twice, which of the bindings it is."""
    before, after = _states(stored), _states(again)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield StateDifference(key[0], key[1], before.get(key), after.get(key))


def _states(verdict: dict[str, Any]) -> dict[tuple[str, str, int], str]:
    found: dict[tuple[str, str, int], str] = {}
    met = Counter[tuple[str, str]]()
    for each in verdict["requirements"]:
        key = (each["policy"], each["id"])
        found[*key, met[key]] = each["state"]
        met[key] += 1
    return found
