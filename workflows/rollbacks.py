"""What carried a version to a place the last time: a return to it leans on the approvals of then."""

from __future__ import annotations

from registry.models import ModelVersion
from workflows.models import PromotionRequest, RequestKind, RequestState


def earlier_request(version: ModelVersion, *, target_kind: str, target: str) -> PromotionRequest | None:
    """Return the newest request that gave a version a stage or alias, None if none did; one statement.

    A re-review gives nothing: what it renews was given by another.
    """
    rows = PromotionRequest.objects.filter(
        version=version, target_kind=target_kind, target=target, state=RequestState.DONE
    ).exclude(kind=RequestKind.RE_REVIEW)
    return rows.select_related("model", "version__model", "requested_by").order_by("-closed_at", "-pk").first()
