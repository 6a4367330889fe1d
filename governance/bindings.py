"""Which policies guard a model's way to a stage or an alias: asked on every move, so by few statements."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from core import sql
from governance.models import Binding, BindingMode
from registry.models import RegisteredModel

# A place counts as governed when one of these covers it; the other modes look on.
BLOCKING = (BindingMode.ENFORCE,)


def in_force(at: datetime) -> Q:
    """Return the condition on bindings of being in force: begun by then and not ended yet."""
    return Q(valid_from__lte=at) & (Q(valid_to__isnull=True) | Q(valid_to__gt=at))


def in_force_or_to_come(at: datetime) -> Q:
    """Return the condition on bindings of being in force, or of beginning later unless something changes."""
    return Q(valid_to__isnull=True) | (Q(valid_to__gt=at) & Q(valid_from__lte=at))


def bindings_for(
    model: RegisteredModel, *, kind: str, target: str, modes: Collection[str] = BLOCKING, at: datetime | None = None
) -> list[Binding]:
    """Return the bindings in force that cover a model's way to a stage or alias, by name; those that block unless more are asked for.

    One statement where no binding names the target, which is the common case; at most three. Traits are read where any goes by them.
    """
    moment = connection.ops.adapt_datetimefield_value(at or timezone.now())
    ids = [pk for pk, mode in sql.fetch(_named(kind), [moment, moment, target]) if mode in modes]
    return _covering(model, Binding.objects.filter(pk__in=ids).select_related("policy").order_by("name")) if ids else []


def _named(kind: str) -> str:
    """Return the statement that finds the bindings in force that name a stage or alias, by hand: each move asks it."""
    column = "stages" if kind == "stage" else "aliases"
    names = (
        f"jsonb_exists({column}, %s)" if sql.is_postgresql() else f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = %s)"
    )
    return f"SELECT id, mode FROM governance_binding WHERE valid_from <= %s AND (valid_to IS NULL OR valid_to > %s) AND {names}"


def bindings_by_trait(model: RegisteredModel, *, modes: Collection[str] = BLOCKING) -> list[Binding]:
    """Return the bindings that cover a model because of its tags or its risk tier, by name: in force, or to come.

    One that begins tomorrow counts, so that nobody steps out of its way today.
    """
    return _covering(model, _bound_by_trait(modes).select_related("policy").order_by("name", "valid_from"))


def any_bound_by_trait(*, modes: Collection[str] = BLOCKING) -> bool:
    """Return whether any binding, in force or to come, goes by tags or risk tiers at all."""
    # By hand, since every tag waits for it; says what _bound_by_trait says.
    at = connection.ops.adapt_datetimefield_value(timezone.now())
    ((found,),) = sql.fetch(
        f"""SELECT EXISTS (SELECT 1 FROM governance_binding
             WHERE (valid_to IS NULL OR (valid_to > %s AND valid_from <= %s)) AND mode IN ({sql.marks(list(modes))})
               AND NOT ({sql.as_text("tags")} = '{{}}' AND {sql.as_text("risk_tiers")} = '[]'))""",
        [at, at, *modes],
    )
    return bool(found)


def _bound_by_trait(modes: Collection[str]) -> QuerySet[Binding]:
    return Binding.objects.filter(in_force_or_to_come(timezone.now()), mode__in=modes).exclude(tags={}, risk_tiers=[])


def _covering(model: RegisteredModel, bindings: Iterable[Binding]) -> list[Binding]:
    bindings = list(bindings)
    tags = dict(model.tags.values_list("key", "value")) if any(b.tags for b in bindings) else {}
    return [b for b in bindings if covers(b, name=model.name, tier=model.risk_tier, tags=tags)]


def covers(binding: Binding, *, name: str, tier: str, tags: Mapping[str, str]) -> bool:
    """Return whether a binding is meant for a model of this name, risk tier and tags."""
    return (
        (not binding.models_matching or any(fnmatch.fnmatchcase(name, pattern) for pattern in binding.models_matching))
        and (not binding.risk_tiers or tier in binding.risk_tiers)
        and all(tags.get(key) == value for key, value in binding.tags.items())
    )
