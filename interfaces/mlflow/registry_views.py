"""Registered models and their versions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from core.access import Actor
from core.errors import Invalid
from interfaces.mlflow import paging
from interfaces.mlflow.artifact_views import send
from interfaces.mlflow.messages import I64, KeyValue, Message, mapping, present
from interfaces.mlflow.routing import Route
from registry import commands, names, queries, records
from registry.records import ModelRecord, VersionRecord
from workflows.commands import catalog

_MODELS_ON_A_PAGE, _MOST_MODELS = 100, 1000
_MOST_VERSIONS = 200_000
_STAGES_TO_ARCHIVE_FROM = ("staging", "production")


class CreateModel(Message, frozen=True):
    name: str
    tags: list[KeyValue] | None = None
    description: str | None = None


class OfModel(Message, frozen=True):
    name: str


class UpdateModel(Message, frozen=True):
    name: str
    description: str | None = None


class RenameModel(Message, frozen=True):
    name: str
    new_name: str


class Search(Message, frozen=True):
    filter: str | None = None
    max_results: I64 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class LatestVersions(Message, frozen=True):
    name: str
    stages: list[str] | None = None


class SetModelTag(Message, frozen=True):
    name: str
    key: str
    value: str = ""


class DeleteModelTag(Message, frozen=True):
    name: str
    key: str


class SetAlias(Message, frozen=True):
    name: str
    alias: str
    version: str


class OfAlias(Message, frozen=True):
    name: str
    alias: str


class CreateVersion(Message, frozen=True):
    name: str
    source: str
    run_id: str | None = None
    tags: list[KeyValue] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class OfVersion(Message, frozen=True):
    name: str
    version: str


class UpdateVersion(Message, frozen=True):
    name: str
    version: str
    description: str | None = None


class TransitionStage(Message, frozen=True):
    name: str
    version: str
    stage: str
    archive_existing_versions: bool = False


class SetVersionTag(Message, frozen=True):
    name: str
    version: str
    key: str
    value: str = ""


class DeleteVersionTag(Message, frozen=True):
    name: str
    version: str
    key: str


def create_model(actor: Actor, message: CreateModel) -> dict[str, Any]:
    """Make a registered model."""
    tags = mapping(message.tags)
    made = commands.create_model(actor=actor, name=message.name, tags=tags, description=message.description or "")
    return {"registered_model": _model(records.of_new(made, tags))}


def get_model(actor: Actor, message: OfModel) -> dict[str, Any]:
    """Return a registered model."""
    return {"registered_model": _model(records.get_model(actor, message.name))}


def update_model(actor: Actor, message: UpdateModel) -> dict[str, Any]:
    """Change a description; one that is absent clears it."""
    catalog.update_model(actor=actor, model_name=message.name, description=message.description or "")
    return {"registered_model": _model(records.get_model(actor, message.name))}


def rename_model(actor: Actor, message: RenameModel) -> dict[str, Any]:
    """Give a model another name."""
    catalog.rename_model(actor=actor, model_name=message.name, new_name=message.new_name)
    return {"registered_model": _model(records.get_model(actor, message.new_name))}


def delete_model(actor: Actor, message: OfModel) -> None:
    """Delete a model with its versions."""
    catalog.delete_model(actor=actor, model_name=message.name)


def search_models(actor: Actor, message: Search) -> dict[str, Any]:
    """Return one page of the models that a filter finds."""
    limit = paging.limit_of(message.max_results, default=_MODELS_ON_A_PAGE, ceiling=_MOST_MODELS, least=0)
    offset = paging.offset_of(message.page_token)
    found = records.search_models(actor, message.filter, message.order_by or (), limit=limit + 1, offset=offset)
    page, token = paging.cut(found, offset, limit)
    return present(registered_models=[_model(model) for model in page], next_page_token=token)


def latest_versions(actor: Actor, message: LatestVersions) -> dict[str, Any]:
    """Return the newest version of each stage."""
    found = records.latest_versions(actor, message.name, message.stages or ())
    return present(model_versions=[_version(version) for version in found])


def set_model_tag(actor: Actor, message: SetModelTag) -> None:
    """Set a tag of a model."""
    catalog.set_model_tag(actor=actor, model_name=message.name, key=message.key, value=message.value)


def delete_model_tag(actor: Actor, message: DeleteModelTag) -> None:
    """Remove a tag of a model."""
    catalog.delete_model_tag(actor=actor, model_name=message.name, key=message.key)


def set_alias(actor: Actor, message: SetAlias) -> None:
    """Point an alias at a version."""
    number = names.version_number(message.version)
    catalog.set_alias(actor=actor, model_name=message.name, alias=message.alias, version=number)


def delete_alias(actor: Actor, message: OfAlias) -> None:
    """Remove an alias."""
    catalog.delete_alias(actor=actor, model_name=message.name, alias=names.known_alias(message.alias))


def version_by_alias(actor: Actor, message: OfAlias) -> dict[str, Any]:
    """Return the version an alias names."""
    return {"model_version": _version(records.version_by_alias(actor, message.name, message.alias))}


def create_version(actor: Actor, message: CreateVersion) -> dict[str, Any]:
    """Register the next version of a model."""
    tags = mapping(message.tags)
    version = commands.register_version(
        actor=actor,
        model_name=message.name,
        source=message.source,
        run_id=message.run_id,
        tags=tags,
        run_link=message.run_link or "",
        description=message.description or "",
        logged_model_id=message.model_id,
    )
    return {"model_version": _version(records.of_new_version(version, tags))}


def get_version(actor: Actor, message: OfVersion) -> dict[str, Any]:
    """Return a version."""
    return {"model_version": _version(records.get_version(actor, message.name, message.version))}


def update_version(actor: Actor, message: UpdateVersion) -> dict[str, Any]:
    """Change a description; one that is absent clears it."""
    commands.update_version(actor=actor, model_name=message.name, number=message.version, description=message.description)
    return {"model_version": _version(records.get_version(actor, message.name, message.version))}


def delete_version(actor: Actor, message: OfVersion) -> None:
    """Delete a version."""
    catalog.delete_version(actor=actor, model_name=message.name, version=names.version_number(message.version))


def search_versions(actor: Actor, message: Search) -> dict[str, Any]:
    """Return one page of the versions that a filter finds."""
    limit = paging.limit_of(message.max_results, default=_MOST_VERSIONS, ceiling=_MOST_VERSIONS)
    offset = paging.offset_of(message.page_token)
    found = records.search_versions(actor, message.filter, message.order_by or (), limit=limit + 1, offset=offset)
    page, token = paging.cut(found, offset, limit)
    return present(model_versions=[_version(version, aliases=False) for version in page], next_page_token=token)


def download_uri(actor: Actor, message: OfVersion) -> dict[str, Any]:
    """Return where a version's files can be read."""
    return {"artifact_uri": records.download_address(actor, message.name, message.version)}


def transition_stage(actor: Actor, message: TransitionStage) -> dict[str, Any]:
    """Move a version into a stage, unless a policy guards it."""
    if message.archive_existing_versions and message.stage.lower() not in _STAGES_TO_ARCHIVE_FROM:
        raise Invalid(f"Versions can be archived on the way into Staging and Production, not into {message.stage!r}.")
    number = names.version_number(message.version)
    catalog.transition_stage(
        actor=actor,
        model_name=message.name,
        version=number,
        stage=message.stage,
        archive_existing=message.archive_existing_versions,
    )
    return {"model_version": _version(records.get_version(actor, message.name, number))}


def set_version_tag(actor: Actor, message: SetVersionTag) -> None:
    """Set a tag of a version."""
    commands.set_version_tag(actor=actor, model_name=message.name, number=message.version, key=message.key, value=message.value)


def delete_version_tag(actor: Actor, message: DeleteVersionTag) -> None:
    """Remove a tag of a version."""
    commands.delete_version_tag(actor=actor, model_name=message.name, number=message.version, key=message.key)


def get_version_file(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """Send a file of a version."""
    given = {field: request.GET.get(field) or "" for field in ("name", "version", "path")}
    if missing := [field for field, value in given.items() if not value]:
        raise Invalid(f"Give {missing[0]!r}.", code="BAD_REQUEST")
    return send(request, queries.version_file(actor, given["name"], given["version"], given["path"]))


def _model(model: ModelRecord) -> dict[str, Any]:
    return present(
        name=model.name,
        creation_timestamp=model.created_ms,
        last_updated_timestamp=model.updated_ms,
        description=model.description or None,
        latest_versions=[_version(version, aliases=False) for version in model.latest_versions],
        tags=model.tags,
        aliases=[{"alias": item.alias, "version": str(item.version)} for item in model.aliases],
    )


def _version(version: VersionRecord, *, aliases: bool = True) -> dict[str, Any]:
    return present(
        name=version.name,
        version=str(version.number),
        creation_timestamp=version.created_ms,
        last_updated_timestamp=version.updated_ms,
        current_stage=version.stage,
        description=version.description,
        source=version.source,
        run_id=version.run_id,
        status=version.status,
        status_message=version.status_message or None,
        tags=version.tags,
        run_link=version.run_link,
        aliases=version.aliases if aliases else None,
    )


_MODEL, _VERSION = "mlflow/registered-models/", "mlflow/model-versions/"

ROUTES: list[Route] = [
    Route("POST", _MODEL + "create", create_model, CreateModel),
    Route("GET", _MODEL + "get", get_model, OfModel),
    Route("PATCH", _MODEL + "update", update_model, UpdateModel),
    Route("POST", _MODEL + "rename", rename_model, RenameModel),
    Route("DELETE", _MODEL + "delete", delete_model, OfModel),
    Route("GET", _MODEL + "search", search_models, Search),
    Route(("POST", "GET"), _MODEL + "get-latest-versions", latest_versions, LatestVersions),
    Route("POST", _MODEL + "set-tag", set_model_tag, SetModelTag),
    Route("DELETE", _MODEL + "delete-tag", delete_model_tag, DeleteModelTag),
    Route("POST", _MODEL + "alias", set_alias, SetAlias),
    Route("DELETE", _MODEL + "alias", delete_alias, OfAlias),
    Route("GET", _MODEL + "alias", version_by_alias, OfAlias),
    Route("POST", _VERSION + "create", create_version, CreateVersion),
    Route("GET", _VERSION + "get", get_version, OfVersion),
    Route("PATCH", _VERSION + "update", update_version, UpdateVersion),
    Route("DELETE", _VERSION + "delete", delete_version, OfVersion),
    Route("GET", _VERSION + "search", search_versions, Search),
    Route("GET", _VERSION + "get-download-uri", download_uri, OfVersion),
    Route("POST", _VERSION + "transition-stage", transition_stage, TransitionStage),
    Route("POST", _VERSION + "set-tag", set_version_tag, SetVersionTag),
    Route("DELETE", _VERSION + "delete-tag", delete_version_tag, DeleteVersionTag),
    Route("GET", "/model-versions/get-artifact", get_version_file, raw=True),
]
