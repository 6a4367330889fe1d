"""Bring policies, parameters and bindings in from documents, all or none."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from core import access
from core.access import Actor, Permission
from governance import sync
from governance.commands import policies
from governance.models import Policy
from governance.sync import Plan, Source


@transaction.atomic
def sync_policies(*, actor: Actor, sources: Sequence[Source], prune: bool = False) -> Plan:
    """Make what these documents say hold here, in one transaction, and return what that changed.

    prune: bindings that none of them names end. Raises Mistaken with every mistake in any of them; Denied without the right
    to publish.
    """
    access.require(actor, Permission.POLICY_PUBLISH)
    # In one order, before anything is compared: two of these at once follow one another, and nothing is published in between.
    list(Policy.objects.select_for_update().order_by("name"))
    plan = sync.plan(actor, sources, prune=prune)
    for change in plan.changing:
        if change.action == "end":
            policies.end_binding(actor=actor, name=change.name)
        elif change.source is None:  # began anew with its parameters
            continue
        elif change.kind == "policy":
            policies.publish_policy(actor=actor, document=change.source.text, rebinding=plan.rebinding)
        elif change.kind == "parameters":
            policies.publish_parameters(actor=actor, document=change.source.text)
        else:
            policies.bind_policy(actor=actor, document=change.source.text)
    return plan
