"""What the pages of policies show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from core.errors import NotFound
from governance.queries import BindingRow, PolicyRow, RevisionRow
from interfaces.web.pages import words


@dataclass(frozen=True)
class Bound:
    """Where a policy is in force."""

    name: str
    places: str
    models: str
    parameters: tuple[tuple[str, str], ...]
    by: str
    since: datetime


@dataclass(frozen=True)
class PolicyPage:
    name: str
    newest: int | None
    published_at: datetime | None
    revisions: tuple[RevisionRow, ...]
    bindings: tuple[Bound, ...]
    shown: RevisionRow | None
    lines: tuple[str, ...]
    in_force: bool


def policy(row: PolicyRow, *, revision: int | None = None) -> PolicyPage:
    """Return a policy with one revision's text, the newest unless another is asked for. Raises NotFound for one that is not."""
    newest = row.revisions[0] if row.revisions else None
    shown = newest if revision is None else next((each for each in row.revisions if each.number == revision), None)
    if revision is not None and shown is None:
        raise NotFound(f"The policy {row.name!r} has no revision {revision}.")
    return PolicyPage(
        name=row.name,
        newest=newest.number if newest else None,
        published_at=newest.published_at if newest else None,
        revisions=tuple(row.revisions),
        bindings=tuple(_bound(each) for each in row.bindings),
        shown=shown,
        lines=tuple(shown.document.rstrip("\n").split("\n")) if shown else (),
        in_force=bool(row.bindings),
    )


def _bound(row: BindingRow) -> Bound:
    places = [words.target("stage", name) for name in row.stages] + [words.target("alias", name) for name in row.aliases]
    which = [f"named {words.listed(row.models)}" if row.models else ""]
    which.append(f"of risk tier {words.listed(row.risk_tiers)}" if row.risk_tiers else "")
    which += [f"tagged {key} = {value}" for key, value in row.tags.items()]
    return Bound(
        name=row.name,
        places=words.listed(places),
        models=f"models {', '.join(filter(None, which))}" if any(which) else "every model",
        parameters=tuple((key, value if isinstance(value, str) else json.dumps(value)) for key, value in row.parameters.items()),
        by=row.created_by or "unknown",
        since=row.valid_from,
    )
