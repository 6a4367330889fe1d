"""What is sent: an event as CloudEvents 1.0 in structured JSON."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from core.models import AuditEvent
from registry.models import RegisteredModel
from webhooks import catalogue

MEDIA_TYPE = "application/cloudevents+json"
MAX_BYTES = 64 * 1024  # what CloudEvents asks everybody to be able to pass on

# Where something is found by its subject: (page, API), with what stands in for its parts.
_PLACES: dict[str, tuple[str, str]] = {
    "model": ("/models/{0}/", "/api/v1/models/{0}/"),
    "model_version": ("/models/{0}/versions/{1}/", "/api/v1/models/{0}/versions/{1}/"),
    "promotion_request": ("/requests/{0}/", "/api/v1/promotion-requests/{0}/"),
    "policy": ("/policies/{0}/", "/api/v1/policies/{0}/"),
    "binding": ("", "/api/v1/bindings/{0}/"),
    "check_run": ("", "/api/v1/check-runs/{0}/"),
    "webhook": ("", "/api/v1/webhooks/{0}/"),
}


def event_body(event: AuditEvent) -> bytes:
    """Return the body for an event that has its place in the ledger.

    Only what the audit event itself says goes out: never a file's content, a token or a secret, which no event holds. Of an
    event that would be too large, what changed is left out and named in ``left_out``; ``links.event`` has it.
    """
    recorded = json.loads(event.body)
    data: dict[str, Any] = {
        "actor": event.actor,
        "model": _model_name(event.scope),
        "scope": event.scope,
        "subject": {"type": event.subject_type, "id": event.subject_id},
        "links": _links(event),
        **{name: recorded[name] for name in ("before", "after", "details") if name in recorded},
    }
    written = _event(event, recorded, data)
    if len(written) > MAX_BYTES:
        left_out = [name for name in ("before", "after", "details") if data.pop(name, None) is not None]
        written = _event(event, recorded, {**data, "left_out": left_out})
    return written


def test_body(delivery_id: UUID, endpoint_id: int, endpoint_name: str) -> bytes:
    """Return the body of a test: an event that happened nowhere and has no place in the ledger."""
    return _json(
        {
            "specversion": "1.0",
            "id": str(delivery_id),
            "source": _source(),
            "type": catalogue.TEST_TYPE,
            "subject": f"webhook/{endpoint_id}",
            "time": timezone.now().isoformat(timespec="microseconds"),
            "datacontenttype": "application/json",
            "data": {"endpoint": endpoint_name, "message": "If you can read this and the signature is right, it works."},
        }
    )


def _event(event: AuditEvent, recorded: dict[str, Any], data: dict[str, Any]) -> bytes:
    return _json(
        {
            "specversion": "1.0",
            "id": str(event.pk),
            "source": _source(),
            "type": catalogue.TYPE_PREFIX + event.action,
            "subject": f"{event.subject_type}/{event.subject_id}",
            "time": recorded["occurred_at"],
            "datacontenttype": "application/json",
            "ledgerposition": event.entry.position,
            "data": data,
        }
    )


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _source() -> str:
    # A source may not be empty; without an address of its own an installation is only this.
    return settings.PUBLIC_URL or "countersign"


def _model_name(scope: str) -> str | None:
    kind, _, number = scope.partition(":")
    if kind != "model" or not number.isdecimal():
        return None
    return RegisteredModel.objects.filter(pk=int(number)).values_list("name", flat=True).first()


def _links(event: AuditEvent) -> dict[str, str]:
    links = {"event": f"{settings.PUBLIC_URL}/api/v1/audit/events/{event.pk}/"}
    page, api = _PLACES.get(event.subject_type, ("", ""))
    parts = event.subject_id.rsplit("/", 1) if event.subject_type == "model_version" else [event.subject_id]
    for name, pattern in (("page", page), ("api", api)):
        if pattern:
            links[name] = settings.PUBLIC_URL + pattern.format(*(quote(part, safe="") for part in parts))
    return links
