"""Registered models: list, create, read, change, delete; where their versions stand and stood."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import AliasPeriod, HistoryRow, StagePeriod, StageRow
from registry import commands as registry_commands
from registry import history, queries
from registry.models import RiskTier
from registry.queries import ModelSummary
from workflows.commands import catalog


class AsOf(Input):
    as_of = serializers.DateTimeField(required=False, help_text="As it stood at this time, such as 2026-03-31T12:00:00Z.")


class ModelFilter(AsOf):
    text = serializers.CharField(required=False, help_text="Found in the name, in any case.")
    risk_tier = serializers.ChoiceField(RiskTier.choices, required=False)
    owner_team = serializers.CharField(required=False)
    tag = serializers.CharField(required=False, help_text="`key`, or `key=value`.")


class NewModel(Input):
    name = serializers.CharField(max_length=256)
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    risk_tier = serializers.ChoiceField(RiskTier.choices, required=False)
    owner_team = serializers.CharField(required=False, help_text="A group; its members may register versions.")
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)


class ModelChange(Input):
    name = serializers.CharField(
        required=False, max_length=256, help_text="Another name; refused while a governed place is held."
    )
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    risk_tier = serializers.ChoiceField(RiskTier.choices, required=False)
    owner_team = serializers.CharField(required=False, allow_blank=True)
    tags = serializers.DictField(
        child=serializers.CharField(allow_blank=True, allow_null=True), required=False, help_text="null removes a tag."
    )


class AliasTarget(Input):
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class Models(Endpoint):
    @describe("list_models", query=ModelFilter, response=Listing[ModelSummary], paged=True)
    def get(self, request: Request) -> Response:
        """List the registered models you may see, by name."""
        asked = read_query(ModelFilter, request, paged=True)
        show = partial(queries.model_summaries, as_of=asked.get("as_of"))
        return Response(page(request, queries.models(actor_of(request), **asked), ordering=["name", "id"], show=show))

    @describe("create_model", body=NewModel, response=ModelSummary, status=201, once=True)
    @idempotent
    def post(self, request: Request) -> Response:
        """Make an empty registered model; you may manage it."""
        made = registry_commands.create_model(actor=actor_of(request), **read(NewModel, request))
        return Response(
            queries.model_summaries([queries.model(actor_of(request), made.name)])[0],
            status=201,
            headers={"Location": address_of(request, made.name)},
        )


class OneModel(Endpoint):
    @describe("read_model", query=AsOf, response=ModelSummary)
    def get(self, request: Request, name: str) -> Response:
        """Read a registered model; at a time in the past also one that was deleted since."""
        as_of = read_query(AsOf, request).get("as_of")
        return Response(queries.model_summaries([queries.model(actor_of(request), name, as_of=as_of)], as_of)[0])

    @describe("change_model", body=ModelChange, response=ModelSummary)
    def patch(self, request: Request, name: str) -> Response:
        """Change what is given, all of it or nothing."""
        actor, change = actor_of(request), read(ModelChange, request)
        new_name, tags = change.pop("name", None), change.pop("tags", {})
        with transaction.atomic():
            queries.model(actor, name)
            if change:
                catalog.update_model(actor=actor, model_name=name, **change)
            for key, value in tags.items():
                if value is None:
                    catalog.delete_model_tag(actor=actor, model_name=name, key=key)
                else:
                    catalog.set_model_tag(actor=actor, model_name=name, key=key, value=value)
            if new_name is not None and new_name != name:
                catalog.rename_model(actor=actor, model_name=name, new_name=new_name)
        return Response(queries.model_summaries([queries.model(actor, new_name or name)])[0])

    @describe("delete_model", status=204)
    def delete(self, request: Request, name: str) -> Response:
        """Delete a model with its versions; refused while one of them holds a governed place."""
        catalog.delete_model(actor=actor_of(request), model_name=name)
        return Response(status=204)


class ModelStages(Endpoint):
    @describe("list_model_stages", query=AsOf, response=list[StagePeriod])
    def get(self, request: Request, name: str) -> Response:
        """List which versions hold which stage, now or at a time."""
        at = read_query(AsOf, request).get("as_of") or timezone.now()
        return Response([StagePeriod.of(p) for p in history.stage_history(actor_of(request), name, at)])


class ModelAliases(Endpoint):
    @describe("list_model_aliases", query=AsOf, response=list[AliasPeriod])
    def get(self, request: Request, name: str) -> Response:
        """List which version each alias names, now or at a time."""
        at = read_query(AsOf, request).get("as_of") or timezone.now()
        return Response([AliasPeriod.of(p) for p in history.alias_history(actor_of(request), name, at)])


class OneAlias(Endpoint):
    @describe("set_alias", body=AliasTarget, status=204)
    def put(self, request: Request, name: str, alias: str) -> Response:
        """Point an alias at a version; refused where a policy guards the alias, with where to ask."""
        catalog.set_alias(actor=actor_of(request), model_name=name, alias=alias, **read(AliasTarget, request))
        return Response(status=204)

    @describe("delete_alias", status=204)
    def delete(self, request: Request, name: str, alias: str) -> Response:
        """Take an alias away; deleting none changes nothing."""
        catalog.delete_alias(actor=actor_of(request), model_name=name, alias=alias)
        return Response(status=204)


class ModelHistory(Endpoint):
    @describe("list_model_history", response=list[HistoryRow])
    def get(self, request: Request, name: str) -> Response:
        """List every stay in a stage and under an alias, the latest first."""
        return Response([HistoryRow.of(p) for p in history.history(actor_of(request), name)])


class Stages(Endpoint):
    @describe("list_stages", response=list[StageRow])
    def get(self, request: Request) -> Response:
        """List the stages there are, each with those that may follow it."""
        return Response(reads.stages())
