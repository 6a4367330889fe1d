"""Policies and the bindings that put them in force."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiRequest
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import NotFound
from governance import queries
from governance.commands import policies as commands
from governance.queries import BindingRow, PolicyRow, RevisionRow
from governance.schemas import BINDING_SCHEMA, POLICY_SCHEMA
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.rendering import Listing


class Document(Input):
    document = serializers.CharField(
        max_length=500_000, trim_whitespace=False, help_text="The YAML text; mistakes are told with line and column."
    )


class YamlText(BaseParser):
    """The document itself as the body, so that a file can be sent as it is."""

    media_type = "application/yaml"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, str]:
        try:
            return {"document": stream.read().decode()}
        except UnicodeDecodeError as error:
            raise ParseError(f"The document is not UTF-8: byte {error.start} does not belong there.") from None


_BODY = {"application/json": Document, "application/yaml": OpenApiRequest({"type": "string"})}


class BindingFilter(Input):
    past = serializers.BooleanField(default=False, help_text="Also those that ended.")


class Policies(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_policies", response=Listing[PolicyRow])
    def get(self, request: Request) -> Response:
        """List every policy with its revisions and its bindings in force."""
        return Response(Listing(queries.policies(actor_of(request))))

    @describe("publish_policy", body=_BODY, response=RevisionRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Publish a policy's text as its next revision; the same text again gives the revision it has already."""
        actor = actor_of(request)
        made = commands.publish_policy(actor=actor, **read(Document, request))
        name = made.policy.name
        return Response(
            _revision(actor, name, made.number),
            status=201,
            headers={"Location": address_of(request, name, "revisions", made.number)},
        )


class OnePolicy(Endpoint):
    @describe("read_policy", response=PolicyRow)
    def get(self, request: Request, name: str) -> Response:
        """Read a policy with its revisions, newest first, and its bindings in force."""
        return Response(queries.policy(actor_of(request), name))


class OneRevision(Endpoint):
    @describe("read_policy_revision", response=RevisionRow)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one published text of a policy."""
        return Response(_revision(actor_of(request), name, number))


class Bindings(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_bindings", query=BindingFilter, response=Listing[BindingRow])
    def get(self, request: Request) -> Response:
        """List the bindings in force."""
        return Response(Listing(queries.bindings(actor_of(request), **read_query(BindingFilter, request))))

    @describe("bind_policy", body=_BODY, response=BindingRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Put a policy in force as a binding document says; a binding of the same name ends where this one begins."""
        actor = actor_of(request)
        made = commands.bind_policy(actor=actor, **read(Document, request))
        row = next(row for row in queries.bindings(actor) if row.name == made.name)
        return Response(row, status=201, headers={"Location": address_of(request, made.name)})


class OneBinding(Endpoint):
    @describe("read_binding", response=BindingRow)
    def get(self, request: Request, name: str) -> Response:
        """Read a binding in force."""
        found = next((row for row in queries.bindings(actor_of(request)) if row.name == name), None)
        if found is None:
            raise NotFound(f"There is no binding {name!r} in force.")
        return Response(found)

    @describe("end_binding", status=204)
    def delete(self, request: Request, name: str) -> Response:
        """Take a binding out of force; what it was stays on record."""
        commands.end_binding(actor=actor_of(request), name=name)
        return Response(status=204)


class PolicySchema(Endpoint):
    @describe("read_policy_schema", response={"type": "object", "additionalProperties": True})
    def get(self, request: Request) -> Response:
        """Read the JSON Schema of policy documents, for editors."""
        return Response(POLICY_SCHEMA)


class BindingSchema(Endpoint):
    @describe("read_binding_schema", response={"type": "object", "additionalProperties": True})
    def get(self, request: Request) -> Response:
        """Read the JSON Schema of binding documents, for editors."""
        return Response(BINDING_SCHEMA)


def _revision(actor: Any, name: str, number: int) -> RevisionRow:
    for row in queries.policy(actor, name).revisions:
        if row.number == number:
            return row
    raise NotFound(f"The policy {name!r} has no revision {number}.")
