"""Requests as bytes on a socket, since no client library would send what is sent here."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds after which an answer counts as never


@dataclass(frozen=True)
class Request:
    """One request: target and headers are bytes, so that nothing keeps them well-formed. chunked: how the body travels."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    chunked: bool = False

    def bytes(self) -> bytes:
        """Return all that is sent."""
        framing = (b"Transfer-Encoding", b"chunked") if self.chunked else (b"Content-Length", b"%d" % len(self.body))
        lines = [b"%s: %s\r\n" % pair for pair in ((b"Host", b"127.0.0.1"), (b"Connection", b"close"), *self.headers, framing)]
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body) if self.chunked and self.body else self.body
        if self.chunked and not self.body:
            body = b"0\r\n\r\n"
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (self.method, self.target, b"".join(lines), body)

    def __str__(self) -> str:
        shown = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        return f"{self.method!r} {self.target[:600]!r} {shown} {'chunked ' if self.chunked else ''}{self.body[:1500]!r}"


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds. status 0: the connection was closed without a word."""

    status: int
    body: bytes
    seconds: float

    def error_code(self) -> str | None:
        """Return the protocol's code of a refusal, or None if the body is no refusal of the protocol."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        well_formed = isinstance(value, dict) and isinstance(value.get("message"), str) and value["message"]
        return value.get("error_code") if well_formed else None


def send(url: str, data: bytes) -> Answer:
    """Send bytes over a connection of their own and read the answer to its end. Raises TimeoutError if none comes."""
    parts = urlsplit(url)
    begun = time.monotonic()
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE) as connection:
        # Refused before all of it was sent, the answer may be there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        response = http.client.HTTPResponse(connection, method="HEAD" if data.startswith(b"HEAD ") else None)
        try:
            response.begin()
            body = response.read()
        except (http.client.BadStatusLine, http.client.IncompleteRead, ConnectionResetError):
            return Answer(0, b"", time.monotonic() - begun)
        finally:
            response.close()
    return Answer(response.status, body, time.monotonic() - begun)
