"""A small client of the MLflow protocol, to fill the servers and to see whether they answer right."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import requests

T = TypeVar("T")
R = TypeVar("R")
API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"


class WrongAnswer(Exception):
    """A server answered something else than it must. The message says which server, what was asked, and what came."""


@dataclass(frozen=True)
class Request:
    """One request. ``filler`` bytes follow the body, so that a megabyte need not be written into a script."""

    method: str
    path: str
    body: str = ""
    filler: int = 0

    @property
    def content(self) -> bytes:
        """The whole body."""
        return self.body.encode() + b"x" * self.filler

    @property
    def kind(self) -> str:
        """The content's type."""
        return "application/octet-stream" if self.path.startswith(FILES) else "application/json"


def get(call: str, **query: Any) -> Request:
    """Return a request that asks."""
    return Request("GET", f"{API}{call}?{urlencode(query, doseq=True)}")


def post(call: str, **message: Any) -> Request:
    """Return a request that sends a message."""
    return Request("POST", API + call, json.dumps(message))


class Client:
    """Sends requests to one server; each thread keeps a connection of its own."""

    def __init__(self, name: str, url: str, headers: dict[str, str]) -> None:
        self.name, self.url, self.headers = name, url, headers
        self._local = threading.local()

    def send(self, request: Request) -> bytes:
        """Return the body of the answer. Raises WrongAnswer unless its status is 200 or 201."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # no proxy between us
        try:
            answer = self._local.session.request(
                request.method,
                self.url + request.path,
                data=request.content or None,
                headers={**self.headers, "Content-Type": request.kind},
                timeout=60,
            )
        except requests.RequestException as error:
            raise WrongAnswer(f"{self.name}: {request.method} {request.path}: {error}") from error
        if answer.status_code not in (200, 201):
            raise WrongAnswer(f"{self.name}: {request.method} {request.path}: {answer.status_code} {answer.text[:300]}")
        return bytes(answer.content)

    def ask(self, request: Request) -> dict[str, Any]:
        """Return the answer as the message it is. Raises WrongAnswer."""
        text = self.send(request)
        try:
            message: dict[str, Any] = json.loads(text)
        except ValueError:
            raise WrongAnswer(f"{self.name}: {request.path}: no JSON: {text[:200]!r}") from None
        return message

    def each(self, work: Callable[[T], R], items: Iterable[T], threads: int = 8) -> list[R]:
        """Return what the work gives for each item, done side by side, in the order of the items."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))
