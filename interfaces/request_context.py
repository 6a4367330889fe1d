"""Every request gets an id that goes into its log lines, its audit events and its answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

_FIT = re.compile(r"^[\w.-]{8,40}$")


class RequestContextMiddleware:
    """Take the caller's ``X-Request-ID`` if it is fit to be logged, else make one; send it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _FIT.match(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self._get_response(request)
        response["X-Request-ID"] = request_id
        return response
