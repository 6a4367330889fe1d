"""What the pages of webhooks show."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from interfaces.web.pages import words
from interfaces.web.pages.words import Status
from webhooks.queries import DeliveryRow, EndpointRow

_TOLD_IN = {"standard": "", "databricks": "Databricks", "mlflow": "MLflow"}
_DELIVERY = {
    "pending": Status("run", "To be sent"),
    "delivered": Status("pass", "Delivered"),
    "failed": Status("fail", "Failed"),
}


@dataclass(frozen=True)
class EndpointLine:
    """An endpoint in the list. server: of its address, whose path is often a secret itself.

    told_in: in whose format, empty for our own, whose secrets are made here.
    """

    row: EndpointRow
    status: Status
    server: str
    events: str
    told_in: str


def endpoint_line(row: EndpointRow) -> EndpointLine:
    """Return an endpoint as the list shows it."""
    parts = urlsplit(row.url)
    if row.state != "active":
        status = Status("wait", "Disabled" if row.state == "disabled" else "Tests only")
    else:
        status = Status("warn", "Failing") if row.failing_since else Status("pass", "Active")
    shown = row.events[:4]
    more = f" and {len(row.events) - 4} more" if len(row.events) > 4 else ""
    return EndpointLine(row, status, f"{parts.scheme}://{parts.netloc}", ", ".join(shown) + more, _TOLD_IN[row.format])


@dataclass(frozen=True)
class DeliveryLine:
    """A delivery in the list. last: what came of the latest attempt."""

    row: DeliveryRow
    status: Status
    kind: str
    attempts: str
    last: str


def delivery_line(row: DeliveryRow) -> DeliveryLine:
    """Return a delivery as the list shows it."""
    latest = row.tries[-1] if row.tries else None
    last = "not tried yet"
    if latest is not None:
        answered = f"answered {latest.status_code}" if latest.status_code else "no answer"
        last = latest.error or f"{answered} in {latest.duration_ms} ms"
    return DeliveryLine(
        row, _DELIVERY[row.state], row.type.removeprefix("countersign."), words.count_of(row.attempts, "attempt"), last
    )
