"""A receiver that really listens, and a worker that does the jobs that are due."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from core import jobs
from core.models import Job, JobState, User
from governance import ledger
from registry import commands as registry_commands
from tests.cast import actor
from webhooks import commands, fanout
from webhooks.delivery import DELIVER
from webhooks.models import WebhookDelivery, WebhookEndpoint
from workflows import tasks  # noqa: F401 - knows how each job is done


@dataclass
class Received:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def signed_with(self, secret: str) -> bool:
        """Verify a signature without our own code. Source: Standard Webhooks 1.0.0."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join([self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body])
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """A server on this machine. ``answers`` are given in turn, the last one for ever: a status, or what acts on the handler."""

    url: str = ""
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=lambda: [204])

    def answer(self, *answers: int | Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answers[:] = answers

    def next_answer(self) -> int | Callable[[BaseHTTPRequestHandler], None]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def serve(receiver: Receiver, wrap: Callable[[Any], Any] = lambda sock: sock) -> ThreadingHTTPServer:
    """Start a receiver on a free port. wrap: what its socket becomes, such as one with TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.requests.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = receiver.next_answer()
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that hang up: some tests want them to."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = wrap(server.socket)
    receiver.port = server.server_address[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook?from=countersign"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    server = serve(made)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of jobs that the broker was told of; the tests' worker finds them by itself."""
    told: list[int] = []
    monkeypatch.setattr("core.jobs.current_app.send_task", lambda name, kwargs, **_: told.append(kwargs["job_id"]))
    return told


def work() -> int:
    """Do the deliveries that are due, as a worker would; return how many jobs that were."""
    due = Job.objects.filter(name=DELIVER, state=JobState.QUEUED, run_after__lte=timezone.now())
    done = 0
    while ids := list(due.order_by("pk").values_list("pk", flat=True)):
        for job_id in ids:
            jobs.run(job_id)
            done += 1
    return done


def tell() -> None:
    """Give events their place, queue deliveries and do those that are due."""
    queue()
    work()


def queue() -> None:
    """Give events their place and queue deliveries."""
    while ledger.sequence():
        pass
    while fanout.fan_out():
        pass


def make_model(owner: User, name: str) -> None:
    registry_commands.create_model(actor=actor(owner), name=name)


def endpoint(owner: User, url: str, *events: str, model: str | None = None) -> commands.Secret:
    """Add an endpoint for these events, or for those of models."""
    return commands.create_endpoint(actor=actor(owner), name="ci", url=url, events=events or ("model.*",), model_name=model)


def fresh(made: commands.Secret) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=made.endpoint.pk)


def the_delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()
