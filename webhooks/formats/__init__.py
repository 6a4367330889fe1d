"""What a receiver expects: which events, by which names, in which shape, signed how. One module each; an endpoint names its own."""

from __future__ import annotations

from webhooks.formats import databricks, mlflow, standard
from webhooks.formats.base import Entry, Format, Message, SecretLost
from webhooks.models import EndpointFormat, WebhookEndpoint

_FORMATS: dict[str, Format] = {
    EndpointFormat.STANDARD: standard,
    EndpointFormat.DATABRICKS: databricks,
    EndpointFormat.MLFLOW: mlflow,
}


def named(name: str) -> Format:
    """Return the format of this name."""
    return _FORMATS[name]


def of(endpoint: WebhookEndpoint) -> Format:
    """Return the format that an endpoint is told in."""
    return _FORMATS[endpoint.format]


__all__ = ["Entry", "Format", "Message", "SecretLost", "named", "of"]
