"""Mail about what the app has told already: at most one message to a person a minute, and none where no mail is set up.

A line is mailed once its person is found not to have read it. The line in the app is the truth; a message that cannot be sent is
tried again with back-off, and what then still was not sent goes out with the next.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from core import jobs
from core.models import User
from workflows.models import MailPreference, Notification

BUNDLE = "workflows.bundle_mail"
SEND = "workflows.send_mail"

SPACING = timedelta(minutes=1)
# What is older than this when mail is set up, or works again, is left to the inbox.
FRESH = timedelta(days=1)
MOST_LINES = 50
_ATTEMPTS = 20  # with the back-off of jobs, over about an hour

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def follow_up(user_ids: Sequence[int]) -> None:
    """Have people's new lines mailed, in the caller's transaction: one job, however many people."""
    if settings.MAIL_ENABLED:
        jobs.enqueue(BUNDLE, user_ids=list(user_ids))


@transaction.atomic
def bundle(*, user_ids: Iterable[int]) -> None:
    """Queue one message for each person at the end of the minute, so that what comes meanwhile goes along. Safe to run twice."""
    for user_id in user_ids:
        _queue(user_id, timezone.now())


def send(*, user_id: int) -> None:
    """Send a person what they have not read and was not mailed yet. Safe to run twice: then there is nothing left.

    Sent first and noted after: a worker lost in between sends it again rather than never. Raises Retry when the mail server
    does not take it.
    """
    now = timezone.now()
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not _may_be_mailed(user):
        return
    last = Notification.objects.filter(user=user, mailed_at__gt=now - SPACING).order_by("-mailed_at").first()
    if last is not None and last.mailed_at is not None:
        _queue(user_id, last.mailed_at + SPACING)
        return
    rows = Notification.objects.filter(user=user, mailed_at=None, read_at=None, created_at__gt=now - FRESH)
    notes = list(rows.order_by("-created_at", "-pk"))
    if not notes:
        return
    try:
        message(user, notes).send()
    except (OSError, smtplib.SMTPException) as error:
        raise jobs.Retry(f"the mail server did not take a message: {type(error).__name__}: {error}") from error
    Notification.objects.filter(pk__in=[note.pk for note in notes]).update(mailed_at=timezone.now())


def message(user: User, notes: Sequence[Notification]) -> EmailMultiAlternatives:
    """Return the message that tells a person these lines, newest first, as text and as HTML."""
    lines = [{"text": n.text, "address": _address(n.path), "at": n.created_at.astimezone(UTC)} for n in notes[:MOST_LINES]]
    context = {
        "name": user.display_name,
        "lines": lines,
        "more": len(notes) - len(lines),
        "inbox": _address("/requests/"),
        "choice": _address("/api/v1/me/mail/"),
        "subject": subject(notes),
    }
    made = EmailMultiAlternatives(
        subject=subject(notes),
        body=render_to_string("mail/notifications.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[user.email],
        # RFC 3834: answering machines keep quiet.
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
    made.attach_alternative(render_to_string("mail/notifications.html", context), "text/html")
    return made


def subject(notes: Sequence[Notification]) -> str:
    """Return the subject for these lines: one line of at most 120 characters, whatever people wrote."""
    text = notes[0].text if len(notes) == 1 else f"{len(notes)} news, the latest: {notes[0].text}"
    line = " ".join(_CONTROL.sub(" ", text).split())
    return f"[Countersign] {line if len(line) <= 100 else line[:99] + '…'}"


def _queue(user_id: int, at: datetime) -> None:
    """Queue a message for the end of the minute that a moment lies in; one that is queued for then already serves."""
    seconds = SPACING.total_seconds()
    end = (at.timestamp() // seconds + 1) * seconds
    delay = timedelta(seconds=max(end - timezone.now().timestamp(), 0))
    jobs.enqueue(SEND, key=f"{SEND}:{user_id}:{int(end)}", max_attempts=_ATTEMPTS, delay=delay, user_id=user_id)


def _may_be_mailed(user: User) -> bool:
    if not settings.MAIL_ENABLED or MailPreference.objects.filter(user=user, wanted=False).exists():
        return False
    try:
        validate_email(user.email)
    except ValidationError:
        return False
    return True


def _address(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}" if path.startswith("/") else settings.PUBLIC_URL
