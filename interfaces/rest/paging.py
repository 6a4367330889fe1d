"""Lists in pages by keyset: a page costs the same at the beginning and at the end, and nothing is shown twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from interfaces.rest.errors import BadQuery
from interfaces.rest.rendering import Listing

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
PARAMETERS = ("cursor", "page_size")

M = TypeVar("M", bound=Model)
T = TypeVar("T")


class _Cursor(CursorPagination):
    def __init__(self, page_size: int, ordering: tuple[str, ...]) -> None:
        self.page_size = page_size
        self._ordering = ordering

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return self._ordering

    def get_page_size(self, request: Request) -> int:
        return int(self.page_size or PAGE_SIZE)


def page(request: Request, rows: QuerySet[M], *, ordering: Sequence[str], show: Callable[[list[M]], Iterable[T]]) -> Listing[T]:
    """Return the page that the request's cursor asks for.

    ordering: ends in a column that is unique. show: turns the page's rows into what is written, all of them in one call.
    Raises BadQuery for a cursor that was not given out here.
    """
    cursor = _Cursor(page_size(request), tuple(ordering))
    try:
        found = cursor.paginate_queryset(rows, request)
    except NotFound:
        raise BadQuery({"cursor": ["Follow `next` or `previous` of a page as they are; a cursor cannot be made up."]}) from None
    return Listing(list(show(list(found or []))), cursor.get_next_link(), cursor.get_previous_link())


def page_size(request: Request) -> int:
    """Return how many rows a page is to have. Raises BadQuery for anything but 1 to 200."""
    asked = request.query_params.get("page_size", str(PAGE_SIZE))
    if not asked.isascii() or not asked.isdigit() or len(asked) > 4 or not 1 <= int(asked) <= MAX_PAGE_SIZE:
        raise BadQuery({"page_size": [f"A page has 1 to {MAX_PAGE_SIZE} rows."]})
    return int(asked)
