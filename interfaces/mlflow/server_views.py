"""What a client may ask before it signs in."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from core.access import Actor
from interfaces.mlflow.routing import Route

PROTOCOL = "3.17.2"  # the release of MLflow whose protocol is spoken here


def version(actor: Actor | None) -> HttpResponse:
    """Return the release of the protocol, as text."""
    return HttpResponse(PROTOCOL, content_type="text/plain; charset=utf-8")


def server_info(actor: Actor | None) -> dict[str, Any]:
    """Return what this server can do."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": True,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": {},
    }


ROUTES: list[Route] = [
    Route("GET", "/version", version, signed_in=False),
    Route("GET", "mlflow/server-info", server_info, versions=("3.0",), signed_in=False),
]
