"""What every view of the API shares: reading input strictly, describing itself, and writing what queries return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import APISettings
from rest_framework.views import APIView

from interfaces.rest import idempotency, paging
from interfaces.rest.errors import MEDIA_TYPE, BadQuery, failure
from interfaces.rest.rendering import Renderer
from interfaces.rest.shapes import Problem

F = TypeVar("F", bound=Callable[..., Any])

_PAGING = (
    OpenApiParameter("cursor", str, description="From `next` or `previous` of another page."),
    OpenApiParameter("page_size", int, description=f"1 to {paging.MAX_PAGE_SIZE}; {paging.PAGE_SIZE} unless given."),
)


class _Negotiation(DefaultContentNegotiation):
    # The framework's query parameter `format` would choose how to answer; here it is a data set's.
    settings: Any = APISettings({"URL_FORMAT_OVERRIDE": None})  # type: ignore[arg-type]


class Endpoint(APIView):
    """A view of the API: parse, one call, render."""

    renderer_classes = [Renderer]
    content_negotiation_class = _Negotiation
    streams = False  # whether a body is read in blocks, so that it may be larger than memory should hold

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # The JSON parser reads past Django's own limit. A body without a length is taken for empty, so this sees them all.
        if not self.streams and int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig("The body is too large.")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer and write the answer here, so that a failure in writing it is a problem document as well."""
        try:
            response: Any = super().dispatch(request, *args, **kwargs)
            return response.render() if isinstance(response, Response) else response  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - the edge: whatever else it is, it is a bug, and logged as one
            return failure(error, request)


class Input(serializers.Serializer[Any]):
    """A body or query that is refused if it holds a member nobody asked for: a misspelt one would be ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            known = ", ".join(self.fields) or "none"
            raise serializers.ValidationError({name: [f"There is no such member; there are {known}."] for name in unknown})
        return super().to_internal_value(data)


class Nothing(Input):
    """No member at all."""


def address_of(request: Request, *steps: object) -> str:
    """Return the address of something below the request's own, for a Location header."""
    return escape_uri_path(request.path) + "".join(f"{quote(str(step), safe='')}/" for step in steps)


def read(form: type[Input], request: Request) -> dict[str, Any]:
    """Return the body's members, checked. Raises ValidationError with a JSON pointer to each mistake."""
    given = form(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def read_query(form: type[Input], request: Request, *, paged: bool = False) -> dict[str, Any]:
    """Return the query parameters, checked; one given twice, or that does not exist, is a mistake. Raises BadQuery."""
    parameters = {name: values for name, values in request.query_params.lists() if not paged or name not in paging.PARAMETERS}
    if twice := [name for name, values in parameters.items() if len(values) > 1]:
        raise BadQuery({name: ["Give it once."] for name in twice})
    given = form(data={name: values[0] for name, values in parameters.items()})
    if not given.is_valid():
        raise BadQuery(given.errors)
    return dict(given.validated_data)


def describe(
    operation: str,
    *,
    response: Any = None,
    status: int = 200,
    body: Any = None,
    query: type[Input] | None = None,
    paged: bool = False,
    once: bool = False,
    text: bool = False,
    media: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe an operation for the OpenAPI schema.

    once: it takes an Idempotency-Key. paged: it takes a cursor. text: it answers with plain text. media: with status 200 it answers
    with a document of one of these types, whatever else it may answer.
    """
    parameters: list[Any] = [query] if query is not None and query().fields else []
    parameters += _PAGING if paged else ()
    parameters += [idempotency.HEADER] if once else ()
    answer: Any = OpenApiResponse(response, description="Done.") if response is not None else None
    answers: dict[Any, Any] = {(status, "text/plain"): OpenApiResponse(OpenApiTypes.STR)} if text else {status: answer}
    answers |= {(200, kind): OpenApiResponse(OpenApiTypes.BINARY, description="The document.") for kind in media}
    answers[("default", MEDIA_TYPE)] = OpenApiResponse(Problem, description="What went wrong (RFC 9457).")
    described: Any = extend_schema(operation_id=operation, parameters=parameters, request=body, responses=answers)
    return described  # type: ignore[no-any-return]
