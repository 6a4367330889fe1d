"""The people of the demo, and how each of them speaks to the server: over HTTP, with a token of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import requests

from scripts.stack import Stack


@dataclass(frozen=True)
class Person:
    username: str
    full_name: str
    role: str
    password: str
    group: str = ""


PEOPLE = (
    Person("dana", "Dana Okafor", "data-scientist", "demo-dana-countersign"),
    Person("ravi", "Ravi Menon", "reviewer", "demo-ravi-countersign"),
    Person("rosa", "Rosa Lindqvist", "reviewer", "demo-rosa-countersign"),
    Person("aude", "Aude Marchand", "auditor", "demo-aude-countersign"),
    Person("pat", "Pat Novak", "platform-admin", "demo-pat-countersign"),
    Person("mark", "Mark Abara", "reviewer", "demo-mark-countersign", group="risk-committee"),
    Person("ines", "Ines Duarte", "incident-responder", "demo-ines-countersign"),
    Person("ivo", "Ivo Petrov", "incident-responder", "demo-ivo-countersign"),
)


class Client:
    """One person at the running server."""

    def __init__(self, url: str, person: Person, token: str) -> None:
        self.url, self.person, self.token = url, person, token
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> requests.Response:
        """GET below /api/v1/."""
        return self._session.get(f"{self.url}/api/v1/{path}", params=query, timeout=60)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """POST JSON below /api/v1/."""
        return self._session.post(f"{self.url}/api/v1/{path}", json=body, timeout=60, **options)

    def put(self, path: str, body: Any) -> requests.Response:
        """PUT JSON below /api/v1/."""
        return self._session.put(f"{self.url}/api/v1/{path}", json=body, timeout=60)

    def page(self, path: str) -> str:
        """Sign in with the password as a browser does, and return a page's HTML."""
        browser = requests.Session()
        form = browser.get(f"{self.url}/sign-in", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        fields = {"username": self.person.username, "password": self.person.password}
        browser.post(
            form.url,
            data={**fields, "csrfmiddlewaretoken": token[1] if token else ""},
            headers={"Referer": form.url},
            timeout=30,
        ).raise_for_status()
        answer = browser.get(f"{self.url}{path}", timeout=30)
        answer.raise_for_status()
        return answer.text


def create_accounts(stack: Stack) -> dict[str, Client]:
    """Make the accounts from the command line, and return each person's client."""
    clients = {}
    for person in PEOPLE:
        token = stack.manage(
            "create_user", person.username, "--role", person.role, "--full-name", person.full_name, "--password-stdin", "--token",
            *(["--group", person.group] if person.group else []), given=person.password,
        ).strip()  # fmt: skip
        clients[person.username] = Client(stack.url, person, token)
    return clients
