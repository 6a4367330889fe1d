"""Whether this server lives and can do its work: for MLflow's client, load balancers and containers' probes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from artifacts.store import store

log = logging.getLogger(__name__)

_NO_CONTENT = "0" * 64


class HealthMiddleware:
    """Answer probes before the host name is checked: they come by address, whatever name people use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = _PROBES.get(request.path_info)
        return self._get_response(request) if view is None else view(request)


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Answer OK, as an MLflow server does, if the process answers and reaches its database; else 503."""
    if _answer("database", _database) != "ok":
        return HttpResponse("The database does not answer.", status=503, content_type="text/plain")
    return HttpResponse("OK", content_type="text/plain")


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Ask the database, the broker and the storage; 503 when one of them fails. Reasons go to the log, not to strangers."""
    answers = {name: _answer(name, check) for name, check in _CHECKS.items()}
    ok = all(answer == "ok" for answer in answers.values())
    return JsonResponse({"ready": ok, **answers}, status=200 if ok else 503, headers={"Cache-Control": "no-store"})


_PROBES: dict[str, Callable[[HttpRequest], HttpResponseBase]] = {"/health": health, "/ready": ready}


def _answer(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except Exception:
        log.warning("not ready: %s", name, exc_info=True)
        return "failed"
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    with current_app.connection_for_write() as link:
        link.ensure_connection(max_retries=1, timeout=2)


def _storage() -> None:
    root = settings.ARTIFACT_ROOT
    if urlsplit(root).scheme == "s3":
        store().holds(_NO_CONTENT)  # asks the bucket, and raises when it does not answer
        return
    with tempfile.NamedTemporaryFile(dir=Path(root.removeprefix("file://"))) as probe:
        probe.write(b"ready")
        probe.flush()


_CHECKS: dict[str, Callable[[], None]] = {"database": _database, "broker": _broker, "storage": _storage}
