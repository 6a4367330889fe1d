"""Standing in for one another: who reviews on behalf of whom, and for how long."""

from __future__ import annotations

from datetime import datetime

from workflows.models import Delegation


def in_force(delegate_id: int, delegator_id: int, at: datetime) -> Delegation | None:
    """Return the delegation by which one person stands in for another at a moment, or None. One statement.

    Its groups are the delegator's it covers; none named means all of them.
    """
    rows = Delegation.objects.select_related("delegator", "delegate")
    rows = rows.filter(delegate_id=delegate_id, delegator_id=delegator_id, revoked_at=None, starts_at__lte=at, ends_at__gt=at)
    return rows.order_by("pk").first()
