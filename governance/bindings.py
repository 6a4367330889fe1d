"""Which policies guard a model's way to a stage or an alias: asked on every move, so by few statements."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection

from django.db.models import Q, QuerySet
from django.utils import timezone

from governance.models import Binding, BindingMode
from registry.models import RegisteredModel


def bindings_for(
    model: RegisteredModel, *, kind: str, target: str, modes: Collection[str] = (BindingMode.ENFORCE,)
) -> list[Binding]:
    """Return the bindings in force that guard a model's way to a stage or alias, by name.

    modes: only those that enforce unless others are asked for; a place counts as governed where one enforces.
    """
    now = timezone.now()
    current = Binding.objects.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=now), valid_from__lte=now, mode__in=modes)
    rows = current.select_related("policy").order_by("name")
    return _covering(model, [row for row in rows if target in (row.stages if kind == "stage" else row.aliases)])


def bindings_by_trait(model: RegisteredModel) -> list[Binding]:
    """Return the bindings in force that cover a model because of its tags or its risk tier, by name."""
    return _covering(model, list(_bound_by_trait().order_by("name")))


def any_bound_by_trait() -> bool:
    """Return whether any binding in force goes by tags or risk tiers at all."""
    return _bound_by_trait().exists()


def _bound_by_trait() -> QuerySet[Binding]:
    return Binding.objects.filter(valid_to__isnull=True).exclude(tags={}, risk_tiers=[])


def _covering(model: RegisteredModel, bindings: list[Binding]) -> list[Binding]:
    tags = dict(model.tags.values_list("key", "value")) if any(b.tags for b in bindings) else {}
    return [
        b
        for b in bindings
        if (not b.models_matching or any(fnmatch.fnmatchcase(model.name, pattern) for pattern in b.models_matching))
        and (not b.risk_tiers or model.risk_tier in b.risk_tiers)
        and all(tags.get(key) == value for key, value in b.tags.items())
    ]
