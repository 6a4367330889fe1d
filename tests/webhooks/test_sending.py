"""One request, to the address that was examined and no other, within its time; whatever fails is an answer."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from tests.webhooks.conftest import Receiver, serve
from webhooks import sending
from webhooks.sending import Answer, post


def send(url: str, body: bytes = b"{}") -> Answer:
    return post(url, headers={"Content-Type": "application/json", "webhook-id": "x"}, body=body)


def leads_to(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let a name lead to these addresses, another one each time it is looked up; return what was looked up."""
    asked: list[str] = []

    def look_up(host: str, port: Any, *_: Any, flags: int = 0, **__: Any) -> list[Any]:
        if flags:
            raise socket.gaierror(-2, "not a number")
        asked.append(host)
        number = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr("webhooks.addresses.socket.getaddrinfo", look_up)
    return asked


def redirect(location: str) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    return answer


def writing(*parts: bytes, pause: float = 0.0) -> Any:
    """Answer with these bytes as they are, with a pause after each, until nobody listens."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for part in parts:
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def test_a_request_arrives_as_it_was_given(receiver: Receiver) -> None:
    answer = send(receiver.url, "{\u00e9}".encode())
    assert (answer.status_code, answer.error, answer.delivered) == (204, "", True)
    assert answer.duration_ms < 5000
    (got,) = receiver.requests
    assert (got.path, got.body) == ("/hook?from=countersign", "{\u00e9}".encode())
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-length"] == str(len(got.body)) and got.headers["webhook-id"] == "x"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_only_a_2xx_counts(receiver: Receiver, status: int) -> None:
    receiver.answer(status, 400, 410, 429, 500)
    assert send(receiver.url).delivered
    assert [(a.status_code, a.error) for a in (send(receiver.url) for _ in range(4))] == [
        (code, f"Answered {code}.") for code in (400, 410, 429, 500)
    ]


def test_a_redirect_is_not_followed(receiver: Receiver, settings: LazySettings) -> None:
    inner = Receiver()
    server = serve(inner)
    receiver.answer(redirect(inner.url))
    answer = send(receiver.url)
    server.shutdown()
    server.server_close()
    assert answer.status_code == 302 and "redirects are not followed" in answer.error
    assert len(receiver.requests) == 1 and inner.requests == []


def test_nothing_is_sent_to_an_inner_address(receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    leads_to(monkeypatch, "127.0.0.1")
    refused = send(f"https://hooks.example.org:{receiver.port}/")
    assert refused.status_code is None and "loopback" in refused.error and refused.error.startswith("Not sent.")
    assert "https" in send(receiver.url).error
    assert receiver.requests == []
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    assert send(f"http://hooks.example.org:{receiver.port}/").delivered


def test_a_name_is_looked_up_once_so_that_it_cannot_lead_elsewhere_after_it_was_examined(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    # Public when examined, this machine ever after: whoever looks it up again reaches the receiver.
    asked = leads_to(monkeypatch, "192.31.196.1", "127.0.0.1")
    connected: list[Any] = []

    class Recording(socket.socket):
        def connect(self, address: Any) -> None:
            connected.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("webhooks.sending.socket.socket", Recording)
    answer = send(f"https://rebinding.example.org:{receiver.port}/")
    assert asked == ["rebinding.example.org"] and connected == [("192.31.196.1", receiver.port)]
    assert "Connection refused" in answer.error and receiver.requests == []


def test_proxies_of_the_environment_are_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(receiver.url).delivered


def test_only_the_beginning_of_an_answer_is_read(receiver: Receiver) -> None:
    endless = [b"HTTP/1.1 500 No\r\n\r\n", *[b"x" * 65536] * 2000]
    receiver.answer(writing(*endless))
    answer = send(receiver.url)
    assert answer.status_code == 500 and answer.response == "x" * 2048


def test_an_answer_that_no_database_takes_is_made_fit(receiver: Receiver) -> None:
    receiver.answer(writing(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\na\x00\xffb"))
    assert send(receiver.url).response == "a\ufffd\ufffdb"
    receiver.answer(writing(b"HTTP\x00/9 \xff\x00\r\n\r\n"))
    assert "\x00" not in send(receiver.url).error


def test_who_dribbles_is_cut_off_in_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever is not cut off takes nine seconds; two are enough for a first line even where the machine is busy.
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 2.0)
    receiver.answer(writing(*[b"H", b"T", b"T", b"P"], *[b"/"] * 90, pause=0.1))
    began = time.monotonic()
    answer = send(receiver.url)
    assert time.monotonic() - began < 6
    assert (answer.status_code, answer.delivered) == (None, False) and answer.error.startswith("No answer within")
    # Who has said that it arrived, and then takes all day over the rest, has still said it.
    for rest in ([b"X: y\r\n"] * 90, [b"\r\n", *[b"."] * 90]):
        receiver.answer(writing(b"HTTP/1.1 200 OK\r\n", *rest, pause=0.1))
        began = time.monotonic()
        assert send(receiver.url).delivered
        assert time.monotonic() - began < 6


def test_who_never_answers_is_cut_off_in_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.5)
    receiver.answer(lambda handler: time.sleep(6))
    began = time.monotonic()
    assert send(receiver.url).error.startswith("No answer within")
    assert time.monotonic() - began < 4


def test_whoever_is_not_there_or_speaks_no_http_is_told_of() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = send(f"http://127.0.0.1:{port}/")
    assert answer.status_code is None and "refused" in answer.error
    assert "name of a server" in send("http://-/").error


def test_what_speaks_no_http_is_told_of(receiver: Receiver) -> None:
    receiver.answer(writing(b"SSH-2.0-OpenSSH_9.2\r\n"))
    assert "The request failed: SSH-2.0" in send(receiver.url).error
    receiver.answer(lambda handler: None)
    assert not send(receiver.url).delivered


def test_a_receiver_that_asks_for_time_is_heard(receiver: Receiver) -> None:
    receiver.answer(writing(b"HTTP/1.1 429 Later\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"))
    assert send(receiver.url).retry_after == 120
    receiver.answer(writing(b"HTTP/1.1 503 Later\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n"))
    assert send(receiver.url).retry_after == 0


# TLS: the connection goes to a number, but name and certificate are those of the address.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate for hooks.example.org that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example.org",
         "-addext", "subjectAltName=DNS:hooks.example.org", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


@pytest.fixture
def tls_receiver(certificate: tuple[Path, Path]) -> Iterator[tuple[Receiver, list[str | None]]]:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    made = Receiver()
    server = serve(made, lambda sock: context.wrap_socket(sock, server_side=True))
    yield made, names
    server.shutdown()
    server.server_close()


def test_the_certificate_must_be_for_the_name_though_the_connection_goes_to_a_number(
    tls_receiver: tuple[Receiver, list[str | None]],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver, names = tls_receiver
    leads_to(monkeypatch, "127.0.0.1")
    trusting = ssl.create_default_context(cafile=str(certificate[1]))
    assert "certificate is not valid" in send(f"https://hooks.example.org:{receiver.port}/").error
    monkeypatch.setattr(sending, "_tls_context", lambda: trusting)
    assert send(f"https://hooks.example.org:{receiver.port}/in").delivered
    assert names == ["hooks.example.org"] * 2
    (got,) = receiver.requests
    assert (got.headers["host"], got.path) == (f"hooks.example.org:{receiver.port}", "/in")
    assert "certificate is not valid" in send(f"https://other.example.org:{receiver.port}/").error
    assert len(receiver.requests) == 1


def test_the_port_stands_in_the_host_only_where_it_is_not_the_usual(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "127.0.0.1")
    real = socket.socket.connect
    monkeypatch.setattr(
        "webhooks.sending.socket.socket",
        type("There", (socket.socket,), {"connect": lambda self, address: real(self, ("127.0.0.1", receiver.port))}),
    )
    assert send("http://hooks.example.org/").delivered
    assert receiver.requests[0].headers["host"] == "hooks.example.org"
