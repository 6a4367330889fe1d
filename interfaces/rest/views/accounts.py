"""Who I am, and my tokens."""

from __future__ import annotations

from django.conf import settings
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import commands
from core.access import Permission
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import Me, NewTokenRow, TokenRow


class NewToken(Input):
    name = serializers.CharField(max_length=100, help_text="What it is for.")
    days = serializers.IntegerField(required=False, min_value=1, max_value=3650)


class WhoAmI(Endpoint):
    @describe("who_am_i", response=Me)
    def get(self, request: Request) -> Response:
        """Say who calls, and what their roles allow everywhere; rights on single models come on top."""
        actor = actor_of(request)
        return Response(
            Me(
                actor.username,
                actor.display_name,
                sorted(actor.roles),
                [permission.value for permission in Permission if actor.grants(permission)],
                actor.credential,
                actor.responsible,
            )
        )


class Tokens(Endpoint):
    @describe("list_tokens", response=Listing[TokenRow])
    def get(self, request: Request) -> Response:
        """List your own tokens, without their secrets."""
        return Response(Listing(reads.tokens(actor_of(request))))

    # Takes no Idempotency-Key: the answer would have to be kept, and it holds a secret that is kept nowhere.
    @describe("create_token", body=NewToken, response=NewTokenRow, status=201)
    def post(self, request: Request) -> Response:
        """Make a token for yourself. Its secret is in this answer only; lost, it is revoked and made anew."""
        actor, asked = actor_of(request), read(NewToken, request)
        made = commands.issue_token(
            actor=actor, username=actor.username, name=asked["name"], days=asked.get("days", settings.TOKEN_DAYS)
        )
        row = reads.token_row(made.token)
        return Response(
            NewTokenRow(row.prefix, row.name, row.created_at, row.expires_at, row.revoked_at, made.secret),
            status=201,
            headers={"Location": address_of(request, row.prefix), "Cache-Control": "no-store"},
        )


class OneToken(Endpoint):
    @describe("revoke_token", status=204)
    def delete(self, request: Request, prefix: str) -> Response:
        """End a token at once, by its first characters."""
        commands.revoke_token(actor=actor_of(request), prefix=prefix)
        return Response(status=204)
