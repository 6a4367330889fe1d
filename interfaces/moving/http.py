"""Ask an MLflow server over HTTP, as its client does: with the credentials of the environment, again when it is busy."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from core.errors import Conflict, Denied, DomainError, Invalid, NotFound

_SECONDS = 60.0
_ATTEMPTS = 5
_BUSY = frozenset({429, 500, 502, 503, 504})


class Http:
    """One connection to a server, opened anew when it breaks."""

    def __init__(self, address: str) -> None:
        """Take an address such as https://mlflow.example/prefix. Raises Invalid for one that is none."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise Invalid(f"{address!r} is no address of a server.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Invalid(f"{address!r} is no address of a server: it looks like https://mlflow.example:5000.")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"User-Agent": "countersign", **_credentials(parts.username, parts.password)}
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]] = ()) -> Any:
        """Return the JSON answer to a GET. Raises NotFound, Denied, Invalid or Conflict, each in the server's own words."""
        return self._json("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to a POST. Raises as ``get``."""
        return self._json("POST", path, json.dumps(body).encode())

    def open(self, path: str) -> http.client.HTTPResponse:
        """Return the answer to a GET to be read as a stream, on a connection of its own. Raises as ``get``."""
        connection = self._connected()
        answer = self._ask(connection, "GET", quote(path), None, Connection="close")
        if answer.status != 200:
            said = answer.read(4096)
            connection.close()
            raise _refusal(answer.status, said)
        connection.close()  # the answer keeps the socket until it is read
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _json(self, method: str, path: str, body: bytes | None) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._connection is None:
                    self._connection = self._connected()
                answer = self._ask(self._connection, method, path, body)
                said = answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if attempt == _ATTEMPTS or isinstance(error, ssl.SSLCertVerificationError):
                    raise NotFound(
                        f"{self._host} cannot be reached: {error or type(error).__name__}.", code="unreachable"
                    ) from None
                # A server that never answered is not waited for as long as one that broke off.
                status, said = 0, b""
                if isinstance(error, ConnectionRefusedError) and attempt >= 2:
                    raise NotFound(f"{self._host} cannot be reached: {error}.", code="unreachable") from None
            if status == 200:
                try:
                    return json.loads(said or b"{}")  # takes NaN, which MLflow writes in places
                except ValueError:
                    raise Invalid(
                        f"{self._host} answered {path.partition('?')[0]} with no JSON: is this an MLflow server?"
                    ) from None
            if status and (status not in _BUSY or attempt == _ATTEMPTS):
                raise _refusal(status, said)
            time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, **more: str
    ) -> http.client.HTTPResponse:
        headers = {**self._headers, **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, self._prefix + path, body=body, headers=headers)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=context)


def _credentials(username: str | None, password: str | None) -> dict[str, str]:
    """Return the header that proves who asks, by the same variables and in the same order as MLflow's client."""
    username = os.environ.get("MLFLOW_TRACKING_USERNAME") or username
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or password
    if username and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    return {}


def _refusal(status: int, said: bytes) -> DomainError:
    try:
        body = json.loads(said)
        text = str(body.get("message") or body)[:500] if isinstance(body, dict) else ""
    except ValueError:
        text = said.decode(errors="replace").strip()[:200]
    if status in (401, 403):
        return Denied(
            f"The server refuses these credentials ({status} {text}): set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, of an account that may read everything."
        )
    if status == 404:
        return NotFound(f"The server has no such thing (404 {text}).")
    if status < 500:
        return Invalid(f"The server refuses this ({status} {text}).")
    return Conflict(f"The server fails ({status} {text}).", code="server_fails")
