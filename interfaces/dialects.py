"""Send MLflow's paths to its dialect before the pages' middlewares: they need no session, cookie or CSRF token."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from interfaces.mlflow.dispatch import answer, speaks


class MlflowMiddleware:
    """Answer the paths of the MLflow protocol here and pass everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return answer(request) if speaks(request.path_info) else self._get_response(request)
