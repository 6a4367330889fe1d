"""Versions of a model: register, read, change, delete; their files, card, decisions and what stands before a place."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance.models import TargetKind
from interfaces.rest import reads
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.paging import page
from interfaces.rest.rendering import Listing
from interfaces.rest.shapes import CardRow, Outlook
from interfaces.rest.views.models import AsOf
from registry import commands as registry_commands
from registry import queries as registry_queries
from registry.queries import FileLine, VersionDetail, VersionSummary
from workflows.commands import catalog, evidence
from workflows.queries import requests as request_queries
from workflows.queries.requests import DecisionHistory


class VersionFilter(AsOf):
    stage = serializers.CharField(required=False)
    alias = serializers.CharField(required=False)
    tag = serializers.CharField(required=False, help_text="`key`, or `key=value`.")
    run_id = serializers.CharField(required=False)
    content_digest = serializers.CharField(required=False)


class NewVersion(Input):
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=2200, help_text="Such as `runs:/<run id>/model` or `models:/<name>/<version>`."
    )
    run_id = serializers.CharField(required=False, max_length=32)
    logged_model_id = serializers.CharField(required=False, max_length=40)
    run_link = serializers.CharField(required=False, max_length=2048)
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)


class VersionChange(Input):
    description = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=100_000)
    tags = serializers.DictField(
        child=serializers.CharField(allow_blank=True, allow_null=True), required=False, help_text="null removes a tag."
    )


class NewStage(Input):
    stage = serializers.CharField(max_length=40)
    archive_existing = serializers.BooleanField(default=False, help_text="Move what is in the stage to Archived.")


class Card(Input):
    sections = serializers.DictField(
        child=serializers.CharField(max_length=50_000), help_text="Section name to text; sections not given are gone."
    )


class Target(Input):
    target = serializers.CharField(default="Production", max_length=255)
    target_kind = serializers.ChoiceField(TargetKind.choices, default=TargetKind.STAGE)


class Versions(Endpoint):
    @describe("list_versions", query=VersionFilter, response=Listing[VersionSummary], paged=True)
    def get(self, request: Request, name: str) -> Response:
        """List a model's versions, newest first."""
        asked = read_query(VersionFilter, request, paged=True)
        owner = registry_queries.model(actor_of(request), name, as_of=asked.get("as_of"))
        show = partial(registry_queries.version_summaries, as_of=asked.get("as_of"))
        return Response(page(request, registry_queries.versions(owner, **asked), ordering=["-number"], show=show))

    @describe("register_version", body=NewVersion, response=VersionDetail, status=201, once=True)
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Register the next version of a model from artifacts that lie here."""
        actor, asked = actor_of(request), read(NewVersion, request)
        registry_queries.model(
            actor, name
        )  # first, so that a hidden model answers as one that does not exist, whatever the source
        made = registry_commands.register_version(actor=actor, model_name=name, **asked)
        row = registry_queries.version(actor, name, made.number)
        return Response(
            registry_queries.version_details([row])[0], status=201, headers={"Location": address_of(request, made.number)}
        )


class OneVersion(Endpoint):
    @describe("read_version", query=AsOf, response=VersionDetail)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read a version."""
        as_of = read_query(AsOf, request).get("as_of")
        row = registry_queries.version(actor_of(request), name, number, as_of=as_of)
        return Response(registry_queries.version_details([row], as_of)[0])

    @describe("change_version", body=VersionChange, response=VersionDetail)
    def patch(self, request: Request, name: str, number: int) -> Response:
        """Change description and tags, all of what is given or nothing."""
        actor, change = actor_of(request), read(VersionChange, request)
        with transaction.atomic():
            registry_queries.version(actor, name, number)
            if "description" in change:
                registry_commands.update_version(actor=actor, model_name=name, number=number, description=change["description"])
            for key, value in change.get("tags", {}).items():
                if value is None:
                    registry_commands.delete_version_tag(actor=actor, model_name=name, number=number, key=key)
                else:
                    registry_commands.set_version_tag(actor=actor, model_name=name, number=number, key=key, value=value)
        return Response(registry_queries.version_details([registry_queries.version(actor, name, number)])[0])

    @describe("delete_version", status=204)
    def delete(self, request: Request, name: str, number: int) -> Response:
        """Delete a version; refused while it holds a governed place. Its number is not used again."""
        catalog.delete_version(actor=actor_of(request), model_name=name, version=number)
        return Response(status=204)


class VersionFiles(Endpoint):
    @describe("list_version_files", response=list[FileLine])
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the files a version consists of, each with size and SHA-256."""
        return Response(registry_queries.manifest(registry_queries.version(actor_of(request), name, number)))


class VersionCard(Endpoint):
    @describe("read_card", response=CardRow)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the newest revision of a version's model card."""
        return Response(reads.card(registry_queries.version(actor_of(request), name, number)))

    @describe("write_card", body=Card, response=CardRow)
    def put(self, request: Request, name: str, number: int) -> Response:
        """Write the next revision of a version's model card; the same text again keeps the revision."""
        written = evidence.write_card(actor=actor_of(request), model_name=name, version=number, **read(Card, request))
        return Response(reads.card_row(written))


class VersionDecisions(Endpoint):
    @describe("list_version_decisions", response=list[DecisionHistory])
    def get(self, request: Request, name: str, number: int) -> Response:
        """Say everything that was decided about a version: requests, reviews, evidence, decisions and events."""
        row = registry_queries.version(actor_of(request), name, number)
        return Response(request_queries.decision_history(actor_of(request), row.model.name, row.number))


class VersionOutlook(Endpoint):
    @describe("read_outlook", query=Target, response=Outlook)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Say what stands between a version and a stage or alias, from the evidence there is."""
        asked = read_query(Target, request)
        actor = actor_of(request)
        verdict = request_queries.outlook(actor, registry_queries.version(actor, name, number), **asked)
        if verdict is None:
            return Response(Outlook(asked["target_kind"], asked["target"], governed=False, satisfied=None))
        return Response(Outlook(asked["target_kind"], asked["target"], True, verdict.satisfied, list(verdict.requirements)))


class VersionStage(Endpoint):
    @describe("move_version", body=NewStage, response=VersionDetail, once=True)
    @idempotent
    def post(self, request: Request, name: str, number: int) -> Response:
        """Move a version to a stage; refused where a policy guards the stage, with where to ask."""
        actor = actor_of(request)
        catalog.transition_stage(actor=actor, model_name=name, version=number, **read(NewStage, request))
        return Response(registry_queries.version_details([registry_queries.version(actor, name, number)])[0])
