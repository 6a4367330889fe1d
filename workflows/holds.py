"""Whether an approved request may be carried out at this moment: freeze windows and the release windows of its policies."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from governance.calendars import covering, ends_of_cover, next_opening
from governance.gate import PinnedPolicy
from governance.models import BindingMode, TargetKind
from registry.models import RegisteredModel
from workflows.calendars import freeze_window
from workflows.models import FreezeWindow, PromotionRequest, RequestKind

_LONGEST = 300  # characters that a request keeps of the reason


@dataclass(frozen=True)
class Hold:
    """Why nothing is carried out now, and until when; no end means none in sight."""

    reason: str
    until: datetime | None


def why_held(request: PromotionRequest, policies: Sequence[PinnedPolicy], at: datetime) -> str:
    """Return why an approved request may not be carried out at a moment, or "" when it may; one statement.

    policies: what the request pinned; only enforced ones hold it. Of several reasons the one that holds longest is given. A
    re-review is never held, since it moves nothing.
    """
    if request.kind == RequestKind.RE_REVIEW:
        return ""
    found = [*_frozen(request, at), *_outside_windows(policies, at)]
    return max(found, key=_end).reason[:_LONGEST] if found else ""


def covers(row: FreezeWindow, model: RegisteredModel, *, target_kind: str, target: str) -> bool:
    """Tell whether a freeze is meant for moves of this model to this stage or alias, whenever it is in force."""
    named = row.stages if target_kind == TargetKind.STAGE else row.aliases
    return (
        (not row.models_matching or any(fnmatch.fnmatchcase(model.name, pattern) for pattern in row.models_matching))
        and (not row.risk_tiers or model.risk_tier in row.risk_tiers)
        and (not (row.stages or row.aliases) or target in named)
    )


def _end(hold: Hold) -> tuple[bool, float]:
    return hold.until is None, hold.until.timestamp() if hold.until else 0.0


def _frozen(request: PromotionRequest, at: datetime) -> Iterator[Hold]:
    for row in FreezeWindow.objects.filter(valid_to__isnull=True).order_by("pk"):
        window = freeze_window(row)
        if not covers(row, request.model, target_kind=request.target_kind, target=request.target) or not covering([window], at):
            continue
        until = ends_of_cover([window], at)
        ends = f"until {_local(until, row.zone)}" if until else "without an end in sight"
        yield Hold(f"Frozen by {row.name} {ends}: {row.reason}", until)


def _outside_windows(policies: Sequence[PinnedPolicy], at: datetime) -> Iterator[Hold]:
    for pinned in policies:
        windows = pinned.policy.release.windows
        if pinned.mode != BindingMode.ENFORCE or not windows or covering(windows, at):
            continue
        openings = [(opens, window.timezone) for window in windows if (opens := next_opening([window], at)) is not None]
        opens, zone = min(openings, default=(None, ""))
        when = f"they open next on {_local(opens, zone)}" if opens else "they never open again; publish the policy with others"
        yield Hold(f"Outside the release windows of {pinned.policy.name}: {when}", opens)


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
