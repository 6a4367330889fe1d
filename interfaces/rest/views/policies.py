"""Policies, the bindings that put them in force, the parameters they are bound with, and what a draft would have changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiRequest
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from core.canonical import digest
from core.errors import NotFound
from governance import queries
from governance.check_schemas import policy_schema
from governance.commands import policies as commands
from governance.queries import BindingRow, ParametersHistory, ParametersRow, PolicyRow, RevisionRow
from governance.schemas import BINDING_SCHEMA, PARAMETERS_SCHEMA
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.rendering import Listing, encode
from interfaces.rest.shapes import PublishedPolicy
from workflows.queries import simulation
from workflows.queries.simulation import Simulation

_LARGEST = 500_000


class Document(Input):
    document = serializers.CharField(
        max_length=_LARGEST, trim_whitespace=False, help_text="The YAML text; mistakes are told with line and column."
    )


class YamlText(BaseParser):
    """The document itself as the body, so that a file can be sent as it is."""

    media_type = "application/yaml"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, str]:
        try:
            return {"document": stream.read().decode()}
        except UnicodeDecodeError as error:
            raise ParseError(f"The document is not UTF-8: byte {error.start} does not belong there.") from None


DOCUMENT_BODY = {"application/json": Document, "application/yaml": OpenApiRequest({"type": "string"})}


class BindingFilter(Input):
    past = serializers.BooleanField(default=False, help_text="All there ever were, also those to come.")
    as_of = serializers.DateTimeField(required=False, help_text="Those in force at that moment, instead of now.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["past"] and "as_of" in attrs:
            raise serializers.ValidationError({"as_of": ["Give either past or as_of."]})
        return attrs


class Draft(Document):
    days = serializers.IntegerField(
        default=simulation.DAYS, min_value=1, max_value=simulation.MOST_DAYS, help_text="How far back requests are looked at."
    )
    parameters = serializers.DictField(
        default=dict, help_text="Values to judge with, instead of those that the requests were judged with."
    )
    every = serializers.BooleanField(
        default=False, help_text="Also requests that this policy did not judge, as for a policy that is new."
    )


class Policies(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_policies", response=Listing[PolicyRow])
    def get(self, request: Request) -> Response:
        """List every policy with its revisions and its bindings, in force and to come."""
        return Response(Listing(queries.policies(actor_of(request))))

    @describe("publish_policy", body=DOCUMENT_BODY, response=PublishedPolicy, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Publish a policy's text as its next revision; the same text again gives the revision it has already.

        `warnings` says which groups it names are missing, or have too few people who may review.
        """
        actor = actor_of(request)
        made = commands.publish_policy(actor=actor, **read(Document, request))
        name, number = made.revision.policy.name, made.revision.number
        row = _revision(actor, name, number)
        return Response(
            PublishedPolicy(**{field: getattr(row, field) for field in row.__dataclass_fields__}, warnings=list(made.warnings)),
            status=201,
            headers={"Location": address_of(request, name, "revisions", number)},
        )


class OnePolicy(Endpoint):
    @describe("read_policy", response=PolicyRow)
    def get(self, request: Request, name: str) -> Response:
        """Read a policy with its revisions, newest first, and its bindings, in force and to come."""
        return Response(queries.policy(actor_of(request), name))


class OneRevision(Endpoint):
    @describe("read_policy_revision", response=RevisionRow)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one published text of a policy."""
        return Response(_revision(actor_of(request), name, number))


class Simulate(Endpoint):
    @describe("simulate_policy", body=Draft, response=Simulation)
    def post(self, request: Request, name: str) -> Response:
        """Judge past requests anew under a draft of a policy, from the facts stored when they were decided. Changes nothing."""
        return Response(simulation.simulate(actor_of(request), name=name, **read(Draft, request)))


class Parameters(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_parameters", response=Listing[ParametersRow])
    def get(self, request: Request) -> Response:
        """List the newest values of all named parameters."""
        return Response(Listing(queries.parameters(actor_of(request))))

    @describe("publish_parameters", body=DOCUMENT_BODY, response=ParametersRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Publish the values of named parameters; the bindings that go by the name begin anew with them.

        The same values again give the revision there is.
        """
        actor = actor_of(request)
        made = commands.publish_parameters(actor=actor, **read(Document, request))
        row = next(row for row in queries.parameters_history(actor, made.name).revisions if row.number == made.number)
        return Response(row, status=201, headers={"Location": address_of(request, made.name)})


class OneParameters(Endpoint):
    @describe("read_parameters", response=ParametersHistory)
    def get(self, request: Request, name: str) -> Response:
        """Read named parameters with their revisions, newest first, and the bindings that go by them."""
        return Response(queries.parameters_history(actor_of(request), name))


class Bindings(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_bindings", query=BindingFilter, response=Listing[BindingRow])
    def get(self, request: Request) -> Response:
        """List the bindings in force, now or at another moment, or all there ever were."""
        return Response(Listing(queries.bindings(actor_of(request), **read_query(BindingFilter, request))))

    @describe("bind_policy", body=DOCUMENT_BODY, response=BindingRow, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Put a policy in force as a binding document says, at once or since a moment to come.

        A binding of the same name ends where this one begins; the same document again changes nothing.
        """
        actor = actor_of(request)
        made = commands.bind_policy(actor=actor, **read(Document, request))
        return Response(queries.bound(actor, made), status=201, headers={"Location": address_of(request, made.name)})


class OneBinding(Endpoint):
    @describe("read_binding", response=BindingRow)
    def get(self, request: Request, name: str) -> Response:
        """Read a binding in force, or else the one of the name that is to come."""
        return Response(queries.binding(actor_of(request), name))

    @describe("end_binding", status=204)
    def delete(self, request: Request, name: str) -> Response:
        """Take a binding out of force, and take back one that is to come; what it was stays on record."""
        commands.end_binding(actor=actor_of(request), name=name)
        return Response(status=204)


class DocumentSchema(Endpoint):
    """A JSON Schema for editors, which send no credentials; of this instance it says its address and which checks are installed."""

    authentication_classes = ()
    permission_classes = ()
    name = ""
    schema_of: Callable[[], Mapping[str, Any]]

    def answer(self, request: Request) -> HttpResponseBase:
        """Return the schema under its own address, to be kept for an hour and asked for again by its digest."""
        schema = {**type(self).schema_of(), "$id": f"{settings.PUBLIC_URL}/api/v1/{self.name}"}
        made = HttpResponse(encode(schema), content_type="application/json")
        made["Cache-Control"] = "public, max-age=3600"
        etag = f'"{digest(schema)}"'
        made["ETag"] = etag
        answered = get_conditional_response(request, etag=etag, response=made)
        return answered if answered is not None else made


ANY_OBJECT = {"type": "object", "additionalProperties": True}


class PolicySchema(DocumentSchema):
    name, schema_of = "policy-schema.json", staticmethod(policy_schema)

    @describe("read_policy_schema", response=ANY_OBJECT)
    def get(self, request: Request) -> HttpResponseBase:
        """Read the JSON Schema of policy documents, for editors."""
        return self.answer(request)


class ParametersSchema(DocumentSchema):
    name, schema_of = "parameters-schema.json", staticmethod(lambda: PARAMETERS_SCHEMA)

    @describe("read_parameters_schema", response=ANY_OBJECT)
    def get(self, request: Request) -> HttpResponseBase:
        """Read the JSON Schema of documents of named parameters, for editors."""
        return self.answer(request)


class BindingSchema(DocumentSchema):
    name, schema_of = "binding-schema.json", staticmethod(lambda: BINDING_SCHEMA)

    @describe("read_binding_schema", response=ANY_OBJECT)
    def get(self, request: Request) -> HttpResponseBase:
        """Read the JSON Schema of binding documents, for editors."""
        return self.answer(request)


def _revision(actor: Any, name: str, number: int) -> RevisionRow:
    for row in queries.policy(actor, name).revisions:
        if row.number == number:
            return row
    raise NotFound(f"The policy {name!r} has no revision {number}.")
