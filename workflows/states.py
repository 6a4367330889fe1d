"""The state machine of a promotion request, as one table. Pure."""

from __future__ import annotations

TRANSITIONS: dict[tuple[str, str], str] = {
    ("draft", "submitted"): "checking",
    ("draft", "withdrawn"): "withdrawn",
    ("checking", "checks_finished"): "in_review",
    ("checking", "rebased"): "checking",
    ("checking", "withdrawn"): "withdrawn",
    ("checking", "expired"): "expired",
    ("checking", "superseded"): "superseded",
    ("in_review", "checks_started"): "checking",
    ("in_review", "rebased"): "checking",
    ("in_review", "changes_requested"): "changes_requested",
    ("in_review", "rejected"): "rejected",
    ("in_review", "satisfied"): "approved",
    ("in_review", "withdrawn"): "withdrawn",
    ("in_review", "expired"): "expired",
    ("in_review", "superseded"): "superseded",
    ("changes_requested", "resubmitted"): "in_review",
    ("changes_requested", "checks_started"): "checking",
    ("changes_requested", "rebased"): "checking",
    ("changes_requested", "withdrawn"): "withdrawn",
    ("changes_requested", "expired"): "expired",
    ("changes_requested", "superseded"): "superseded",
    ("approved", "started"): "executing",
    ("approved", "no_longer_satisfied"): "in_review",
    ("approved", "rebased"): "checking",
    ("approved", "withdrawn"): "withdrawn",
    ("approved", "expired"): "expired",
    ("approved", "superseded"): "superseded",
    ("approved", "failed"): "failed",
    ("executing", "executed"): "done",
    ("executing", "no_longer_satisfied"): "in_review",
    ("executing", "failed"): "failed",
}

OPEN = frozenset({"checking", "in_review", "changes_requested", "approved", "executing"})


def after(state: str, event: str) -> str | None:
    """Return the state that follows, or None if the event cannot happen in this state."""
    return TRANSITIONS.get((state, event))


def possible(state: str) -> tuple[str, ...]:
    """Return the events that can happen in a state."""
    return tuple(event for (held, event) in TRANSITIONS if held == state)


def diagram() -> str:
    """Return the table as a Mermaid state diagram, as the documentation shows it."""
    ends = sorted(set(TRANSITIONS.values()) - {held for held, _ in TRANSITIONS})
    lines = ["stateDiagram-v2", "  [*] --> draft", "  [*] --> checking"]
    lines += [f"  {held} --> {following}: {event.replace('_', ' ')}" for (held, event), following in TRANSITIONS.items()]
    return "\n".join([*lines, *(f"  {state} --> [*]" for state in ends)])
