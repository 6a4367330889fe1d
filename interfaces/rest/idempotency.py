"""Answer a repeated POST as the first time: the key, the change and the answer are one transaction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import Invalid
from interfaces.rest.authentication import actor_of
from interfaces.rest.errors import IdempotencyKeyReused
from interfaces.rest.models import IdempotentAnswer
from interfaces.rest.rendering import encode

KEPT = timedelta(days=7)
HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 printable ASCII characters; the same request with the same key within 7 days gets the same answer and "
    "changes nothing more.",
)

_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")

View = Callable[..., Response]


def idempotent(method: View) -> Callable[..., HttpResponse]:
    """Let a view's POST take an Idempotency-Key. Only answers are kept, not refusals: those changed nothing.

    A second request with the same key waits for the first one's transaction, by the unique constraint, and gets its answer.
    Raises IdempotencyKeyReused when the key was used for another request.
    """

    @wraps(method)
    def answered(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return method(view, request, *args, **kwargs)
        if not _KEY.match(key):
            raise Invalid("An Idempotency-Key has 1 to 255 printable ASCII characters without spaces.")
        digest = _digest(request)
        with transaction.atomic():
            record = _claim(actor_of(request).user_id, key, digest)
            if record.status:
                return _again(record, digest)
            response = method(view, request, *args, **kwargs)
            record.status = response.status_code
            record.location = response.headers.get("Location", "")
            record.body = encode(response.data).decode() if response.data is not None else ""
            record.save(update_fields=["status", "location", "body"])
        return response

    return answered


def _digest(request: Request) -> str:
    # The body before anything parses it: Django keeps what was read, and the parsers read that.
    parts = (request.method or "", request.get_full_path(), request.content_type or "")
    return "sha256:" + hashlib.sha256("\n".join(parts).encode() + b"\n" + request._request.body).hexdigest()


def _claim(user_id: Any, key: str, digest: str) -> IdempotentAnswer:
    """Return the key's row: a new one without a status, or the one that another request has finished with."""
    IdempotentAnswer.objects.filter(user_id=user_id, created_at__lt=timezone.now() - KEPT).delete()
    try:
        with transaction.atomic():
            return IdempotentAnswer.objects.create(user_id=user_id, key=key, request_digest=digest)
    except IntegrityError:
        return IdempotentAnswer.objects.get(user_id=user_id, key=key)


def _again(record: IdempotentAnswer, digest: str) -> HttpResponse:
    if record.request_digest != digest:
        raise IdempotencyKeyReused()
    headers = {"Idempotency-Replayed": "true"}
    if record.location:
        headers["Location"] = record.location
    return HttpResponse(
        record.body.encode(), status=record.status, content_type="application/json" if record.body else None, headers=headers
    )
