"""The state machine of a promotion request, as one table. Pure."""

from __future__ import annotations

TRANSITIONS: dict[tuple[str, str], str] = {
    ("checking", "checks_finished"): "in_review",
    ("checking", "withdrawn"): "withdrawn",
    ("checking", "expired"): "expired",
    ("in_review", "checks_started"): "checking",
    ("in_review", "changes_requested"): "changes_requested",
    ("in_review", "rejected"): "rejected",
    ("in_review", "satisfied"): "approved",
    ("in_review", "withdrawn"): "withdrawn",
    ("in_review", "expired"): "expired",
    ("changes_requested", "resubmitted"): "in_review",
    ("changes_requested", "checks_started"): "checking",
    ("changes_requested", "withdrawn"): "withdrawn",
    ("changes_requested", "expired"): "expired",
    ("approved", "executed"): "done",
    ("approved", "no_longer_satisfied"): "in_review",
    ("approved", "withdrawn"): "withdrawn",
    ("approved", "failed"): "failed",
}

OPEN = frozenset({"checking", "in_review", "changes_requested", "approved"})


def after(state: str, event: str) -> str | None:
    """Return the state that follows, or None if the event cannot happen in this state."""
    return TRANSITIONS.get((state, event))


def possible(state: str) -> tuple[str, ...]:
    """Return the events that can happen in a state."""
    return tuple(event for (held, event) in TRANSITIONS if held == state)
