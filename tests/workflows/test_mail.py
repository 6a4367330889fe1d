"""Mail about what waits: one message a minute at most, none where none is wanted or set up, and nothing smuggled into headers."""

from __future__ import annotations

import smtplib
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import time_machine
from django.core import mail as outbox
from django.utils import timezone

from config.environment import Environment
from core import jobs
from core.models import Job, JobState, User
from tests.cast import actor, person
from workflows import mail, notifications, tasks
from workflows.commands import inbox as inbox_commands
from workflows.models import MailPreference, Notification

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def server(settings: Any) -> None:
    """Mail is set up, and goes into Django's outbox."""
    assert tasks.send_mail, "the handlers are known"
    settings.MAIL_ENABLED = True
    settings.PUBLIC_URL = "https://models.example.org"
    settings.DEFAULT_FROM_EMAIL = "Countersign <countersign@example.org>"


@pytest.fixture
def ravi(db: None) -> User:
    return with_address(person("ravi", "reviewer"))


def with_address(user: User, address: str = "") -> User:
    user.email = address or f"{user.username}@example.org"
    user.save(update_fields=["email"])
    return user


def work(until: timedelta = timedelta()) -> list[str]:
    """Do every job that is due by then, as workers would; return the outcomes."""
    done = []
    with time_machine.travel(timezone.now() + until, tick=False):
        while job := Job.objects.filter(state=JobState.QUEUED, run_after__lte=timezone.now()).order_by("pk").first():
            jobs.run(job.pk)
            job.refresh_from_db()
            done.append(f"{job.name.removeprefix('workflows.')} {job.state}")
    return done


def tell(*users: User, text: str = "REQ-1 waits for you", **options: Any) -> None:
    notifications.tell(users, None, "review", text, **{"path": "/requests/1/", **options})


def test_what_is_told_is_mailed_with_its_link_as_text_and_html(ravi: User) -> None:
    tell(ravi, text="REQ-1 of <credit> & co waits")
    assert [job.name for job in Job.objects.all()] == [mail.BUNDLE]
    assert work(2 * MINUTE) == ["bundle_mail done"] and outbox.outbox == []
    assert work(4 * MINUTE) == ["send_mail done"]
    (message,) = outbox.outbox
    assert message.to == ["ravi@example.org"] and message.from_email == "Countersign <countersign@example.org>"
    assert message.subject == "[Countersign] REQ-1 of <credit> & co waits"
    assert "REQ-1 of <credit> & co waits" in message.body and "https://models.example.org/requests/1/" in message.body
    ((html, kind),) = message.alternatives
    assert kind == "text/html" and "REQ-1 of &lt;credit&gt; &amp; co waits" in str(html) and "<credit>" not in str(html)
    assert 'href="https://models.example.org/requests/1/"' in str(html)
    assert 'PUT {"wanted": false} to https://models.example.org/api/v1/me/mail/' in message.body
    assert message.message()["Auto-Submitted"] == "auto-generated"
    assert Notification.objects.get().mailed_at is not None


def test_what_comes_within_a_minute_goes_in_one_message(ravi: User) -> None:
    start = timezone.now().replace(second=10, microsecond=0) + 10 * MINUTE
    with time_machine.travel(start, tick=False):
        for i in range(5):
            tell(ravi, text=f"line {i}")
            work()
        assert Job.objects.filter(name=mail.SEND).count() == 1
    with time_machine.travel(start + MINUTE, tick=False):
        work()
        (message,) = outbox.outbox
        assert "5 news, the latest: line 4" in message.subject
        assert [message.body.index(f"line {i}") for i in range(5)] == sorted(
            (message.body.index(f"line {i}") for i in range(5)), reverse=True
        )
        tell(ravi, text="another")
        Job.objects.filter(state=JobState.QUEUED).update(run_after=timezone.now())
        assert work() == ["bundle_mail done"]
        Job.objects.filter(state=JobState.QUEUED).update(run_after=timezone.now())
        assert work() == ["send_mail done"] and len(outbox.outbox) == 1  # too soon: put off
    with time_machine.travel(start + 3 * MINUTE, tick=False):
        assert work() == ["send_mail done"] and "another" in outbox.outbox[1].body
        assert "line 4" not in outbox.outbox[1].body


def test_telling_many_takes_as_many_statements_as_telling_one(ravi: User, django_assert_num_queries: Any) -> None:
    crowd = [with_address(person(f"p{i}", "reviewer")) for i in range(7)]
    with django_assert_num_queries(4):  # the lines; the job between two savepoints
        tell(ravi)
    with django_assert_num_queries(4):
        tell(ravi, *crowd)
    with django_assert_num_queries(0):
        tell()


def test_running_the_jobs_twice_sends_once(ravi: User) -> None:
    tell(ravi)
    mail.bundle(user_ids=[ravi.pk])
    mail.bundle(user_ids=[ravi.pk])
    assert Job.objects.filter(name=mail.SEND).count() == 1
    mail.send(user_id=ravi.pk)
    mail.send(user_id=ravi.pk)
    assert len(outbox.outbox) == 1


def test_nobody_gets_mail_who_does_not_want_it_or_read_it_already_or_is_gone(ravi: User) -> None:
    inbox_commands.set_mail_wanted(actor=actor(ravi), wanted=False)
    tell(ravi)
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == []
    inbox_commands.set_mail_wanted(actor=actor(ravi), wanted=True)
    assert MailPreference.objects.count() == 1
    inbox_commands.read_notifications(actor=actor(ravi))
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == []
    tell(ravi)
    User.objects.update(is_active=False)
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == []
    User.objects.update(is_active=True)
    mail.send(user_id=ravi.pk)
    assert len(outbox.outbox) == 1


@pytest.mark.parametrize("address", ["", "ravi", "ravi@example.org\nBcc: all@example.org", "a@b.example, c@d.example"])
def test_an_address_that_is_none_gets_nothing(ravi: User, address: str) -> None:
    User.objects.update(email=address)
    tell(ravi)
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == [] and Notification.objects.get().mailed_at is None


def test_old_lines_are_left_to_the_inbox(ravi: User) -> None:
    tell(ravi)
    Notification.objects.update(created_at=timezone.now() - mail.FRESH - MINUTE)
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == []


def test_programs_and_closed_accounts_are_told_nothing(ravi: User) -> None:
    from core import commands as core_commands
    from tests.cast import ROOT

    bot = core_commands.ensure_user(actor=ROOT, username="bot", roles=["reviewer"], service_of="ravi")
    gone = person("gone", "reviewer")
    gone.is_active = False
    gone.save()
    tell(bot, gone)
    assert not Notification.objects.exists() and not Job.objects.exists()


@pytest.mark.parametrize(
    "text",
    ["a\nBcc: all@example.org", "a\r\nBcc: x@y.example\r\n\r\nbody", "a\u2028Bcc: x", "a\x0bBcc: x", "\x85Bcc: x", "a" * 5000],
)
def test_nothing_gets_from_a_text_into_the_headers(ravi: User, text: str) -> None:
    Notification.objects.create(user=ravi, kind="review", text=text[:300], path="/requests/1/")
    mail.send(user_id=ravi.pk)
    raw = outbox.outbox[0].message().as_bytes()
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["Bcc"] is None and parsed["To"] == "ravi@example.org"
    assert "\n" not in parsed["Subject"] and len(outbox.outbox[0].subject) <= 120
    assert outbox.outbox[0].recipients() == ["ravi@example.org"]


def test_a_path_that_is_no_path_leads_to_the_start(ravi: User) -> None:
    Notification.objects.create(user=ravi, kind="review", text="x", path="javascript:alert(1)")
    mail.send(user_id=ravi.pk)
    assert "javascript" not in outbox.outbox[0].body + str(outbox.outbox[0].alternatives[0][0])


def test_no_mail_is_tried_where_none_is_set_up(ravi: User, settings: Any) -> None:
    settings.MAIL_ENABLED = False
    tell(ravi)
    assert Notification.objects.count() == 1 and not Job.objects.exists()
    mail.send(user_id=ravi.pk)
    assert outbox.outbox == []


class _Refusing(socketserver.BaseRequestHandler):
    """A mail server that is too busy until it is told otherwise, and then takes everything."""

    busy = True
    received: list[bytes] = []

    def handle(self) -> None:
        stream = self.request.makefile("rwb")

        def say(line: str) -> None:
            stream.write(line.encode() + b"\r\n")
            stream.flush()

        say("220 ready")
        while line := stream.readline():
            word = line[:4].upper()
            if word == b"MAIL" and type(self).busy:
                say("451 too busy")
            elif word == b"DATA":
                say("354 go on")
                body = b""
                while (part := stream.readline()) != b".\r\n":
                    body += part
                type(self).received.append(body)
                say("250 taken")
            elif word == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 well")


@pytest.fixture
def busy_server(settings: Any) -> Iterator[type[_Refusing]]:
    _Refusing.busy, _Refusing.received = True, []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = running.server_address
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield _Refusing
        running.shutdown()


def test_a_server_that_is_busy_is_tried_again_until_it_takes_it(ravi: User, busy_server: type[_Refusing]) -> None:
    tell(ravi)
    work()
    assert work(2 * MINUTE) == ["send_mail queued"]
    job = Job.objects.get(name=mail.SEND)
    assert job.attempts == 1 and "451" in job.error and Notification.objects.get().mailed_at is None
    busy_server.busy = False
    assert work(4 * MINUTE) == ["send_mail done"]
    (body,) = busy_server.received
    assert b"https://models.example.org/requests/1/" in body and b"To: ravi@example.org" in body
    assert Notification.objects.get().mailed_at is not None


def test_a_server_that_is_away_is_tried_again(ravi: User, settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    tell(ravi)
    with pytest.raises(jobs.Retry, match="did not take"):
        mail.send(user_id=ravi.pk)
    assert Notification.objects.get().mailed_at is None and issubclass(smtplib.SMTPException, OSError)


# The setting.


def environment(**given: str) -> Environment:
    return Environment({"PUBLIC_URL": "https://m.example.org", "EMAIL_FROM": "Countersign <countersign@example.org>", **given})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+tls://u%40x:p%23w@mail.example.org", ("mail.example.org", 587, "u@x", "p#w", True, False)),
        ("smtp+ssl://mail.example.org", ("mail.example.org", 465, "", "", False, True)),
        ("smtp://mail.example.org:2525", ("mail.example.org", 2525, "", "", False, False)),
    ],
)
def test_a_mail_server_is_read_from_its_address(url: str, expected: tuple[object, ...]) -> None:
    found = environment(EMAIL_URL=url)["EMAIL_URL"]
    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS", "EMAIL_USE_SSL")
    assert tuple(found[name] for name in names) == expected
    assert found["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert "console" in environment(EMAIL_URL="consolemail://")["EMAIL_URL"]["EMAIL_BACKEND"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"EMAIL_URL": "mail.example.org"}, "EMAIL_URL: expected smtp+tls://"),
        ({"EMAIL_URL": "http://mail.example.org"}, "EMAIL_URL: expected smtp+tls://"),
        ({"EMAIL_URL": "smtp://"}, "EMAIL_URL: expected smtp+tls://"),
        ({"EMAIL_URL": "smtp://h", "EMAIL_FROM": ""}, "EMAIL_FROM: mail needs a sender"),
        ({"EMAIL_URL": "smtp://h", "EMAIL_FROM": "nobody"}, "EMAIL_FROM: mail needs a sender"),
        ({"EMAIL_URL": "smtp://h", "EMAIL_FROM": "a@b.c\nBcc: d@e.f"}, "EMAIL_FROM: mail needs a sender"),
        ({"EMAIL_URL": "smtp://h", "PUBLIC_URL": ""}, "PUBLIC_URL: mail needs it"),
    ],
)
def test_a_mail_server_that_cannot_work_is_refused_at_the_start(given: dict[str, str], expected: str) -> None:
    from django.core.exceptions import ImproperlyConfigured

    environment(EMAIL_URL="smtp://h")
    environment(EMAIL_FROM="", PUBLIC_URL="")
    with pytest.raises(ImproperlyConfigured) as refused:
        environment(**given)
    assert expected in str(refused.value)
