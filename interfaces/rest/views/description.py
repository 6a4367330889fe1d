"""The API's description of itself, a page to try it on, and the answer for addresses that do not exist."""

from __future__ import annotations

from typing import Any

from django.urls import Resolver404, resolve
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from interfaces.rest.authentication import CredentialAuthentication, SignedInAuthentication
from interfaces.rest.base import Endpoint

# Swagger UI sets styles in its page and draws small pictures from data: addresses; scripts stay our own files.
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Schema(SpectacularAPIView):
    """The OpenAPI 3.1 document; JSON unless YAML is asked for."""

    authentication_classes = [CredentialAuthentication, SignedInAuthentication]
    permission_classes = [IsAuthenticated]
    renderer_classes = [OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2]


class Docs(SpectacularSwaggerSplitView):
    """A page to read and try the API, from files of this server only."""

    authentication_classes = [CredentialAuthentication, SignedInAuthentication]
    permission_classes = [IsAuthenticated]
    url_name = "rest:schema"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response["Content-Security-Policy"] = _CONTENT_POLICY
        return response


class NoSuchAddress(Endpoint):
    """What is at no address, for everybody alike."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is no {request.path} here{_hint(request.path)}.")


def _hint(path: str) -> str:
    if path.endswith("/"):
        return "; /api/v1/schema/ lists what there is"
    try:
        found = resolve(f"{path}/")
    except Resolver404:
        return "; /api/v1/schema/ lists what there is"
    return "" if found.url_name == "no-such-address" else f"; you may mean {path}/"
