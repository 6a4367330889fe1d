"""Answer MLflow's protocol: find the route, know the caller, read the message, call the view, write the answer."""

from __future__ import annotations

import msgspec
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from core.access import Actor
from core.errors import DomainError
from interfaces import throttle
from interfaces.credentials import BadCredentials, actor_from_header
from interfaces.mlflow import (
    artifact_views,
    databricks_views,
    databricks_webhook_views,
    errors,
    experiment_views,
    lineage_views,
    logged_model_views,
    messages,
    metric_views,
    permission_views,
    registry_views,
    run_data_views,
    run_views,
    server_views,
    trace_views,
    upload_views,
    webhook_views,
)
from interfaces.mlflow.routing import RouteTable

TABLE = RouteTable(
    [
        *experiment_views.ROUTES,
        *run_views.ROUTES,
        *run_data_views.ROUTES,
        *lineage_views.ROUTES,
        *metric_views.ROUTES,
        *logged_model_views.ROUTES,
        *trace_views.ROUTES,
        *artifact_views.ROUTES,
        *upload_views.ROUTES,
        *registry_views.ROUTES,
        *webhook_views.ROUTES,
        *databricks_views.ROUTES,
        *databricks_webhook_views.ROUTES,
        *permission_views.ROUTES,
        *server_views.ROUTES,
    ]
)

_PREFIXES = ("/api/2.0/", "/api/3.0/", "/ajax-api/")
_OWN = frozenset({"/version", "/v1/traces", "/get-artifact", "/model-versions/get-artifact"})
_CHALLENGE = 'Bearer realm="countersign", Basic realm="countersign"'
_encode = msgspec.json.Encoder().encode


def speaks(path: str) -> bool:
    """Return whether this path is answered by the MLflow dialect."""
    return path.startswith(_PREFIXES) or path in _OWN


def answer(request: HttpRequest) -> HttpResponseBase:
    """Return the answer to a request of the protocol; every failure is an answer too."""
    answered = _answer(request)
    if request.method == "HEAD" and isinstance(answered, HttpResponse):
        answered.setdefault("Content-Length", str(len(answered.content)))
        answered.content = b""
    return answered


def _answer(request: HttpRequest) -> HttpResponseBase:
    actor: Actor | None = None
    try:
        method = request.method or ""
        entry, parameters = TABLE.find(request.path_info, method)
        route = entry.get(method)
        if route is None or route.signed_in:
            try:
                header, request_id = request.META.get("HTTP_AUTHORIZATION", ""), getattr(request, "request_id", "")
                actor = actor_from_header(header, request_id, throttle.address_of(request))
            except BadCredentials as error:
                return errors.respond("UNAUTHENTICATED", str(error), **{"WWW-Authenticate": _CHALLENGE})
            if actor is None:
                return errors.respond(
                    "UNAUTHENTICATED",
                    "Sign in: set MLFLOW_TRACKING_TOKEN to a token of this server.",
                    **{"WWW-Authenticate": _CHALLENGE},
                )
        if route is None:
            if entry and method == "OPTIONS":
                return HttpResponse(status=204, headers={"Allow": ", ".join(entry)})
            if entry:
                return errors.respond(
                    "METHOD_NOT_ALLOWED", f"{request.path_info} does not answer {request.method}.", Allow=", ".join(entry)
                )
            return errors.respond("ENDPOINT_NOT_FOUND", f"There is no {request.path_info} here.")
        messages.refuse_nul(parameters)
        if route.raw:
            messages.refuse_nul(dict(request.GET.lists()))
            result = route.view(actor, request, **parameters)
        elif route.message is None:
            result = route.view(actor, **parameters)
        else:
            result = route.view(actor, messages.read(request, route.message), **parameters)
    except DomainError as error:
        return errors.refusal(error, request, actor)
    except TooManyFieldsSent:
        return errors.respond("INVALID_PARAMETER_VALUE", "The query string has too many fields.")
    except Exception as error:  # noqa: BLE001 - the edge: whatever else it is, it is a bug, and logged as one
        return errors.failure(error, request)
    if isinstance(result, HttpResponseBase):
        return result
    return HttpResponse(_encode({} if result is None else result), content_type="application/json")
