"""The lineage explorer."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.views.decorators.http import require_safe

from core.errors import DomainError, Invalid
from interfaces.web import errors
from interfaces.web.page import PageRequest, page
from interfaces.web.pages import lineage as present
from registry import lineage

_DEPTHS = (1, 2, 3, 5, 10, 50)


@require_safe
@page
def explore(request: PageRequest) -> HttpResponse:
    """Show what a node came from and what came of it, as it stood at a time."""
    key = request.GET.get("node", "").strip()
    context: dict[str, object] = {"nav": "lineage", "depths": _DEPTHS, "today": timezone.now().date().isoformat()}
    status = 200
    try:
        start = _start(request, key)
        context["start"] = start
        if key:
            graph = lineage.walk(
                request.actor, key, direction=lineage.Direction(start.direction), depth=start.depth, as_of=start.as_of
            )
            context["explorer"] = present.explorer(graph, start)
    except DomainError as error:
        found = errors.problem(error)
        context |= {"problem": found, "start": context.get("start", present.Start(key))}
        status = found.status
    return render(request, "lineage/explore.html", context, status=status)


def _start(request: PageRequest, key: str) -> present.Start:
    direction = request.GET.get("direction", "both")
    if direction not in set(lineage.Direction):
        raise Invalid("The direction is upstream, downstream or both.")
    depth = request.GET.get("depth", "10")
    if not depth.isdigit() or not 1 <= int(depth) <= lineage.MAX_DEPTH:
        raise Invalid(f"The depth is a number of steps from 1 to {lineage.MAX_DEPTH}.")
    return present.Start(key, direction, int(depth), _as_of(request.GET.get("as_of", "")), request.GET.get("view", ""))


def _as_of(text: str) -> datetime | None:
    """Return the moment asked for: the end of a day, or an exact time in UTC."""
    if not text:
        return None
    try:
        exact, date = (None, parse_date(text)) if len(text) <= 10 else (parse_datetime(text), None)
    except ValueError:
        exact = date = None
    if exact is not None:
        return exact if timezone.is_aware(exact) else exact.replace(tzinfo=UTC)
    if date is None:
        raise Invalid("Give the date as 2026-11-20, or a time as 2026-11-20T14:30Z.")
    return min(datetime.combine(date, time.max, tzinfo=UTC), max(timezone.now(), datetime.combine(date, time.min, tzinfo=UTC)))
