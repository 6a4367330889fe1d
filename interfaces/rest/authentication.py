"""Who calls the API: an Authorization header first, else the session of a signed-in person with its CSRF token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from core.access import Actor
from interfaces import throttle
from interfaces.credentials import BadCredentials, actor_from_header, actor_of_user


@dataclass(frozen=True)
class Caller:
    """What the framework calls the user: it only carries the actor."""

    actor: Actor
    is_authenticated: bool = True

    @property
    def pk(self) -> int | None:
        return self.actor.user_id


def actor_of(request: Request) -> Actor:
    """Return who calls. Only for views that no stranger reaches."""
    caller: Any = request.user
    actor: Actor = caller.actor
    return actor


class CredentialAuthentication(BaseAuthentication):
    """A bearer token, or Basic with a name and a password or token."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        try:
            address = throttle.address_of(request)
            actor = actor_from_header(request.headers.get("Authorization", ""), _request_id(request), address)
        except BadCredentials as error:
            raise AuthenticationFailed(str(error)) from None
        return None if actor is None else (Caller(actor), None)

    def authenticate_header(self, request: Request) -> str:
        # Basic works too, but naming it would make browsers open their own password dialogue over a page.
        return 'Bearer realm="countersign"'


class SignedInAuthentication(SessionAuthentication):
    """The session cookie of a page; what changes something needs the CSRF token as well."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        if found is None:
            return None
        try:
            return Caller(actor_of_user(found[0], _request_id(request))), None
        except BadCredentials as error:
            raise AuthenticationFailed(str(error)) from None


class _CredentialScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = CredentialAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token made with POST /api/v1/tokens/."}


class _SignedInScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = SignedInAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "The session of a signed-in page."}


def _request_id(request: Request) -> str:
    return str(getattr(request, "request_id", ""))
