"""Who is told what, in the app."""

from __future__ import annotations

from collections.abc import Iterable

from core.models import User
from workflows.reviewers import REVIEW_ROLES
from workflows.models import Notification, PromotionRequest


def tell(users: Iterable[User], request: PromotionRequest | None, kind: str, text: str, path: str = "") -> None:
    """Put a line into people's inboxes, in the caller's transaction. path: the page it is about, unless it is the request's."""
    page = path or (f"/requests/{request.pk}/" if request is not None else "")
    Notification.objects.bulk_create(
        [Notification(user=user, request=request, kind=kind, text=text[:300], path=page[:300]) for user in users]
    )


def reviewers(*, barred: Iterable[str]) -> list[User]:
    """Return the people who may review, without those who had a part in the work."""
    rows = User.objects.filter(groups__name__in=REVIEW_ROLES, is_active=True).exclude(username__in=list(barred))
    return list(rows.distinct().order_by("username"))
