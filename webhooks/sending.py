"""Send one request to an address outside and say what came of it.

The standard library's client is used because of what it does not do: it follows no redirect, reads no proxy from the
environment, and lets the socket be made here. So the connection goes to the address that was examined and to no other,
although a name may lead elsewhere a moment later (DNS rebinding), while ``Host``, SNI and the certificate are the name's.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from webhooks import addresses
from webhooks.addresses import Refused, Socket, Target

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
KEPT_BYTES = 2048


@dataclass(frozen=True)
class Answer:
    """What came of a request. error: why it does not count as delivered, empty if it does.

    retry_after: seconds that the receiver asks us to wait, 0 if it does not.
    """

    status_code: int | None = None
    duration_ms: int = 0
    response: str = ""
    error: str = ""
    retry_after: int = 0

    @property
    def delivered(self) -> bool:
        return not self.error


def post(url: str, *, headers: Mapping[str, str], body: bytes, verify: bool = True) -> Answer:
    """Send the body and return the answer; whatever fails on the way is an answer too, and nothing is raised for it.

    verify: whether the server must prove by its certificate who it is.
    """
    began = time.monotonic()
    deadline = began + TOTAL_SECONDS
    status, text, retry_after, error = None, b"", 0, ""
    try:
        target = addresses.parse(url)
        connection = _Connection(target, addresses.resolve(target, seconds=CONNECT_SECONDS), deadline, verify)
        with contextlib.closing(connection), _ended_by(connection, deadline):
            connection.request("POST", target.path, body=body, headers={**headers, "Connection": "close"})
            with contextlib.closing(connection.getresponse()) as answer:
                status, error = answer.status, _objection(answer.status)
                retry_after = _seconds(answer.getheader("Retry-After"))
                # Once the status is here the rest is for the log alone; a receiver that dawdles over it has still answered.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    text = answer.read(KEPT_BYTES)
    except Refused as refused:
        error = f"Not sent. {refused}"
    except (OSError, http.client.HTTPException) as failed:
        error = f"No answer within {TOTAL_SECONDS:.0f} s." if time.monotonic() >= deadline else _told(failed)
    return Answer(
        status_code=status,
        duration_ms=round((time.monotonic() - began) * 1000),
        response=_storable(text.decode(errors="replace")),
        error=_storable(error),
        retry_after=retry_after,
    )


class _Connection(http.client.HTTPConnection):
    """A connection to addresses that were examined; the name serves for ``Host`` and for the certificate alone."""

    def __init__(self, target: Target, sockets: list[Socket], deadline: float, verify: bool) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.tls else 80  # or the port would stand in the header Host
        self._tls, self._sockets, self._deadline, self._verify = target.tls, sockets, deadline, verify
        self.connect()

    def connect(self) -> None:
        sock = _connected(self._sockets, self._deadline)
        try:
            if self._tls:
                sock = (_tls_context() if self._verify else _trusting_context()).wrap_socket(sock, server_hostname=self.host)
            sock.settimeout(TOTAL_SECONDS)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


def _connected(sockets: list[Socket], deadline: float) -> socket.socket:
    """Return a socket connected to the first that answers. Raises the last OSError if none does."""
    last: OSError = TimeoutError("there was no time left to connect")
    for one in sockets:
        sock = socket.socket(one.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.001, min(CONNECT_SECONDS, deadline - time.monotonic())))
            sock.connect(one.address)
            return sock
        except OSError as error:
            sock.close()
            last = error
        if time.monotonic() >= deadline:
            break
    raise last


@contextlib.contextmanager
def _ended_by(connection: _Connection, deadline: float) -> Iterator[None]:
    """Shut a connection down at the deadline: a socket's own timeout begins anew with every byte that dribbles in."""
    other = socket.socket(fileno=os.dup(connection.sock.fileno()))
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _shut_down, [other])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        other.close()


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        sock.shutdown(socket.SHUT_RDWR)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _trusting_context() -> ssl.SSLContext:
    """Encrypts, and takes any certificate: for an endpoint whose owner said so."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _objection(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"Answered {status}: redirects are not followed; give the endpoint the address it leads to."
    return f"Answered {status}."


def _seconds(retry_after: str | None) -> int:
    return int(retry_after) if retry_after and re.fullmatch(r"[0-9]{1,6}", retry_after) else 0


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")  # PostgreSQL takes no NUL


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"No connection within {CONNECT_SECONDS:.0f} s."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate is not valid for this address: {error.verify_message}."
    said = str(error).strip().rstrip(".") or type(error).__name__
    return f"The request failed: {said[:400]}."
