"""The public keys that reports of service accounts are verified with."""

from __future__ import annotations

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance import reported
from governance.commands import signing_keys
from governance.reported import SigningKeyRow
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read
from interfaces.rest.idempotency import idempotent
from interfaces.rest.rendering import Listing


class NewSigningKey(Input):
    name = serializers.CharField(max_length=100, help_text="Shown beside what it signed.")
    public_key = serializers.CharField(max_length=5000, help_text="PEM: Ed25519, or ECDSA on the curve P-256.")
    owner = serializers.CharField(max_length=150, help_text="The service account that signs its reports with it.")
    valid_from = serializers.DateTimeField(required=False, help_text="Now unless given.")
    valid_to = serializers.DateTimeField()


class Revocation(Input):
    reason = serializers.CharField(max_length=10_000)


class SigningKeys(Endpoint):
    @describe("list_signing_keys", response=Listing[SigningKeyRow])
    def get(self, request: Request) -> Response:
        """List the keys that reports are verified with, newest first."""
        return Response(Listing(reported.signing_keys(actor_of(request), now=timezone.now())))

    @describe("register_signing_key", body=NewSigningKey, response=SigningKeyRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Register a public key of a service account."""
        actor = actor_of(request)
        made = signing_keys.register_key(actor=actor, **read(NewSigningKey, request))
        row = reported.signing_key(actor, made.key_id, now=timezone.now())
        return Response(row, status=201, headers={"Location": address_of(request, made.key_id)})


class OneSigningKey(Endpoint):
    @describe("read_signing_key", response=SigningKeyRow)
    def get(self, request: Request, key_id: str) -> Response:
        """Read a key, with whom it belongs to and how long it is valid."""
        return Response(reported.signing_key(actor_of(request), key_id, now=timezone.now()))


class RevokeSigningKey(Endpoint):
    @describe("revoke_signing_key", body=Revocation, response=SigningKeyRow, once=True)
    @idempotent
    def post(self, request: Request, key_id: str) -> Response:
        """End a key at once. What it signed before stays and says that the key was revoked."""
        actor = actor_of(request)
        signing_keys.revoke_key(actor=actor, key_id=key_id, **read(Revocation, request))
        return Response(reported.signing_key(actor, key_id, now=timezone.now()))
