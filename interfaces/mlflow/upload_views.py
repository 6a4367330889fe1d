"""Uploads in parts, as MLflow's client makes them of large files when it is told to."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse

from artifacts import paths, uploads
from core.access import Actor
from core.errors import Invalid, NotFound
from interfaces.mlflow import messages
from interfaces.mlflow.artifact_views import body_source
from interfaces.mlflow.messages import I64, Message
from interfaces.mlflow.routing import Route
from tracking import uploads as guarded

TICKET = "X-Upload-Ticket"

_SEPARATOR = re.compile(r"[/\\]")


class CreateUpload(Message, frozen=True):
    path: str
    num_parts: I64 | None = None


class Part(Message, frozen=True):
    part_number: I64
    etag: str


class CompleteUpload(Message, frozen=True):
    path: str
    upload_id: str
    parts: list[Part]


class AbortUpload(Message, frozen=True):
    path: str
    upload_id: str


def create(actor: Actor, request: HttpRequest, path: str) -> dict[str, Any]:
    """Begin an upload, and answer with an address for each part."""
    message = messages.read(request, CreateUpload)
    begun = guarded.begin_upload(actor=actor, path=_target(path, message.path), parts=message.num_parts or 1)
    address = request.build_absolute_uri(f"/api/2.0/mlflow-artifacts/mpu/parts/{begun.upload_id}/")
    return {
        "upload_id": begun.upload_id,
        "credentials": [
            {"url": f"{address}{number}", "part_number": number, "headers": {TICKET: ticket}}
            for number, ticket in enumerate(begun.tickets, start=1)
        ],
    }


def put_part(actor: Actor | None, request: HttpRequest, upload_id: str, number: str) -> HttpResponse:
    """Keep a part. Who sends it shows the ticket that its address was given out with."""
    if not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise NotFound("There is no such part.")
    source, length = body_source(request, uploads.MAX_PART_BYTES)
    digest = uploads.receive_part(
        ticket=request.headers.get(TICKET, ""), upload_id=upload_id, number=int(number), stream=source, expected_bytes=length
    )
    return HttpResponse(headers={"ETag": f'"{digest}"'})


def complete(actor: Actor, request: HttpRequest, path: str) -> dict[str, Any]:
    """Join the parts."""
    message = messages.read(request, CompleteUpload)
    parts = [(part.part_number, part.etag.strip('"')) for part in message.parts]
    target = _target(path, message.path)
    guarded.complete_upload(actor=actor, path=target, upload_id=message.upload_id, parts=parts)
    return {}


def abort(actor: Actor, request: HttpRequest, path: str) -> dict[str, Any]:
    """Give an upload up."""
    message = messages.read(request, AbortUpload)
    guarded.abort_upload(actor=actor, path=_target(path, message.path), upload_id=message.upload_id)
    return {}


def _target(folder: str, local: str) -> str:
    """Return where a file goes: clients name its folder here, and its whole path there, of which the last name counts."""
    name = _SEPARATOR.split(local)[-1]
    if name in ("", ".", ".."):
        raise Invalid(f"{local[:200]!r} names no file.")
    return paths.join(paths.safe(folder), paths.safe_file(name))


_STEPS = "mlflow-artifacts/mpu"

ROUTES: list[Route] = [
    Route("POST", f"{_STEPS}/create/<path>", create, raw=True),
    Route("POST", f"{_STEPS}/complete/<path>", complete, raw=True),
    Route("POST", f"{_STEPS}/abort/<path>", abort, raw=True),
    Route("PUT", f"{_STEPS}/parts/{{upload_id}}/{{number}}", put_part, raw=True, signed_in=False),
]
