"""Who is told what: lines in the app, which mail follows up where mail is set up."""

from __future__ import annotations

from collections.abc import Iterable

from core.models import User
from workflows import mail
from workflows.models import Notification, PromotionRequest

MENTION = "mention"


def tell(users: Iterable[User], request: PromotionRequest | None, kind: str, text: str, path: str = "") -> None:
    """Put a line into people's inboxes, in the caller's transaction. path: the page it is about, unless it is the request's."""
    page = path or (f"/requests/{request.pk}/" if request is not None else "")
    post([Notification(user=user, request=request, kind=kind, text=shortened(text), path=page[:300]) for user in users])


def post(notes: list[Notification]) -> None:
    """Put lines into inboxes and see to their mail, in the caller's transaction; as many statements for one as for a thousand.

    Accounts of programs read neither, so they get none.
    """
    notes = [note for note in notes if not note.user.is_service and note.user.is_active]
    if notes:
        Notification.objects.bulk_create(notes)
        mail.follow_up(sorted({note.user_id for note in notes}))


def shortened(text: str) -> str:
    """Return a text as one line that fits a notification."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:299]}…"
