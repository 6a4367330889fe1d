"""Webhooks: who outside is told of events, and what became of it."""

from __future__ import annotations

from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, Nothing, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from webhooks import commands, queries
from webhooks.models import DeliveryState, EndpointState
from webhooks.queries import DeliveryRow, EndpointRow, EndpointWithSecret, EventKind

_EVENTS_HELP = "Names such as promotion.approved, beginnings such as promotion.*, or * for all."


class NewWebhook(Input):
    name = serializers.CharField(max_length=100, help_text="By which people know it.")
    url = serializers.CharField(max_length=2000, help_text="An https address that takes POST.")
    events = serializers.ListField(
        child=serializers.CharField(max_length=80), min_length=1, max_length=100, help_text=_EVENTS_HELP
    )
    model = serializers.CharField(required=False, max_length=256, help_text="Only the events of this registered model.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=1000)


class WebhookChange(Input):
    name = serializers.CharField(required=False, max_length=100)
    url = serializers.CharField(required=False, max_length=2000)
    events = serializers.ListField(
        required=False, child=serializers.CharField(max_length=80), min_length=1, max_length=100, help_text=_EVENTS_HELP
    )
    state = serializers.ChoiceField(EndpointState.choices, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=1000)


class DeliveryFilter(Input):
    state = serializers.ChoiceField(DeliveryState.choices, required=False)


class Webhooks(Endpoint):
    @describe("list_webhooks", response=Listing[EndpointRow], paged=True)
    def get(self, request: Request) -> Response:
        """List the endpoints you manage, by name: all, or those of models you manage."""
        rows = queries.endpoints(actor_of(request))
        return Response(page(request, rows, ordering=["name", "id"], show=lambda found: map(queries.endpoint_row, found)))

    # Takes no Idempotency-Key: the answer would have to be kept, and it holds a secret that is kept nowhere.
    @describe("create_webhook", body=NewWebhook, response=EndpointWithSecret, status=201)
    def post(self, request: Request) -> Response:
        """Add an endpoint. The secret it verifies signatures with is in this answer only; lost, it is rotated."""
        actor, asked = actor_of(request), read(NewWebhook, request)
        made = commands.create_endpoint(actor=actor, model_name=asked.pop("model", None), **asked)
        row = queries.with_secret(queries.endpoint(actor, made.endpoint.pk), made.secret)
        return Response(row, status=201, headers={"Location": address_of(request, row.id)})


class OneWebhook(Endpoint):
    @describe("read_webhook", response=EndpointRow)
    def get(self, request: Request, number: int) -> Response:
        """Read an endpoint: what it asks for, whether it is active, and why if it is not."""
        return Response(queries.endpoint_row(queries.endpoint(actor_of(request), number)))

    @describe("change_webhook", body=WebhookChange, response=EndpointRow)
    def patch(self, request: Request, number: int) -> Response:
        """Change what is given. Disabling gives up what waits; what happens until it is active again is not told."""
        actor = actor_of(request)
        commands.change_endpoint(actor=actor, endpoint_id=number, **read(WebhookChange, request))
        return Response(queries.endpoint_row(queries.endpoint(actor, number)))

    @describe("delete_webhook", status=204)
    def delete(self, request: Request, number: int) -> Response:
        """Remove an endpoint."""
        commands.delete_endpoint(actor=actor_of(request), endpoint_id=number)
        return Response(status=204)


class RotateSecret(Endpoint):
    # No Idempotency-Key, for the same reason as above.
    @describe("rotate_webhook_secret", body=Nothing, response=EndpointWithSecret)
    def post(self, request: Request, number: int) -> Response:
        """Make a new secret; for 24 hours requests carry a signature with the one before as well. 409 where its owner chose it."""
        read(Nothing, request)
        actor = actor_of(request)
        made = commands.rotate_secret(actor=actor, endpoint_id=number)
        return Response(queries.with_secret(queries.endpoint(actor, number), made.secret))


class SendTest(Endpoint):
    @describe("test_webhook", body=Nothing, response=DeliveryRow, status=202, once=True)
    @idempotent
    def post(self, request: Request, number: int) -> Response:
        """Send a `countersign.webhook.test`; its delivery says what came of it."""
        read(Nothing, request)
        actor = actor_of(request)
        made = commands.send_test(actor=actor, endpoint_id=number)
        return Response(queries.delivery_rows(queries.deliveries(actor, number).filter(pk=made.pk))[0], status=202)


class Deliveries(Endpoint):
    @describe("list_webhook_deliveries", query=DeliveryFilter, response=Listing[DeliveryRow], paged=True)
    def get(self, request: Request, number: int) -> Response:
        """List what an endpoint was sent or is to be sent, newest first, with every attempt."""
        rows = queries.deliveries(actor_of(request), number, **read_query(DeliveryFilter, request, paged=True))
        return Response(page(request, rows, ordering=["-created_at", "-id"], show=queries.delivery_rows))


class Redeliver(Endpoint):
    @describe("redeliver_webhook", body=Nothing, response=DeliveryRow, status=202, once=True)
    @idempotent
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Send a delivery again now, with the same `webhook-id`."""
        read(Nothing, request)
        actor = actor_of(request)
        sent = commands.redeliver(actor=actor, delivery_id=delivery_id)
        rows = queries.deliveries(actor, sent.endpoint_id).filter(pk=sent.pk)
        return Response(queries.delivery_rows(rows)[0], status=202)


class EventKinds(Endpoint):
    @describe("list_webhook_events", response=list[EventKind])
    def get(self, request: Request) -> Response:
        """List the events there are, each with when it is recorded."""
        return Response(queries.event_kinds())
