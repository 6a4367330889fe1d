"""Read models and versions as MLflow asks for them: often, many at once. Each read is one hand-written statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from core import access
from core.access import Actor, Permission
from core.errors import Invalid, NotFound
from core.sql import as_text, fetch, json_array, json_object
from registry import names, search
from registry.models import ModelVersion, RegisteredModel, Stage


class Tag(msgspec.Struct, frozen=True):
    """A tag of a model or a version."""

    key: str
    value: str


class AliasOf(msgspec.Struct, frozen=True):
    """An alias and the number of the version it names."""

    alias: str
    version: int


class VersionRecord(msgspec.Struct, frozen=True):
    """A version as it is read by one statement. ``aliases`` is empty where they were not asked for."""

    name: str
    number: int
    stage: str
    description: str | None
    source: str
    storage_location: str
    run_id: str
    run_link: str
    status: str
    status_message: str
    created_ms: int
    updated_ms: int
    tags: list[Tag]
    aliases: list[str] = []


class ModelRecord(msgspec.Struct, frozen=True):
    """A registered model as it is read by one statement, with the newest version of each stage."""

    name: str
    description: str
    created_ms: int
    updated_ms: int
    tags: list[Tag]
    aliases: list[AliasOf]
    latest_versions: list[VersionRecord]


_tags = msgspec.json.Decoder(list[Tag]).decode
_texts = msgspec.json.Decoder(list[str]).decode
_aliases = msgspec.json.Decoder(list[AliasOf]).decode
_versions = msgspec.json.Decoder(list[VersionRecord]).decode

_VERSION_ADDRESS = re.compile(r"models:/([^/]+)/(\d+)\Z", re.ASCII)
_PLAIN = (
    "number",
    "stage",
    "description",
    "source",
    "storage_location",
    "run_id",
    "run_link",
    "status",
    "status_message",
    "created_ms",
    "updated_ms",
)
_STAGE = "(SELECT s.stage_id FROM registry_stageassignment s WHERE s.version_id = {v}.id AND s.valid_to IS NULL)"


def get_version(actor: Actor, name: str, number: str | int) -> VersionRecord:
    """Return a version. Raises Invalid for what is no number, NotFound if it is absent or hidden."""
    wanted = names.version_number(number)
    granted, parameters = _granted(actor)
    found = fetch(
        f"""SELECT {_version_columns(_STAGE.format(v="v"))}
              FROM registry_registeredmodel m JOIN registry_modelversion v ON v.model_id = m.id
             WHERE m.name = %s AND m.deleted_at IS NULL AND v.number = %s AND v.deleted_at IS NULL AND {granted}""",
        [name, wanted, *parameters],
    )
    if not found:
        names.model_name(name)
        raise NotFound(f"There is no version {number} of a registered model {name!r}, or you may not see it.")
    return _version(found[0])


def of_new_version(version: ModelVersion, tags: Mapping[str, str]) -> VersionRecord:
    """Return a version that was registered just now, as it would be read."""
    plain = (getattr(version, column) for column in _PLAIN[2:])
    listed = [Tag(key, value) for key, value in tags.items()]
    return VersionRecord(*(version.model.name, version.number, version.first_stage or "", *plain, listed))


def version_by_alias(actor: Actor, name: str, alias: str) -> VersionRecord:
    """Return the version an alias names; ``latest``, in any case, is the one with the highest number.

    Raises NotFound for a model that is absent or hidden or, for ``latest``, has no version; Invalid for another alias that is not set.
    """
    names.known_alias(alias)
    granted, parameters = _granted(actor)
    latest = alias.lower() == "latest"
    if latest:
        pointed = """(SELECT MAX(n.number) FROM registry_modelversion n WHERE n.model_id = m.id AND n.deleted_at IS NULL)
                     = v.number"""
    else:
        pointed = """v.id = (SELECT a.version_id FROM registry_aliasassignment a
                              WHERE a.model_id = m.id AND a.alias = %s AND a.valid_to IS NULL)"""
    found = fetch(
        f"""SELECT {_version_columns(_STAGE.format(v="v"))}
              FROM registry_registeredmodel m
              LEFT JOIN registry_modelversion v ON v.model_id = m.id AND v.deleted_at IS NULL AND {pointed}
             WHERE m.name = %s AND m.deleted_at IS NULL AND {granted}""",
        [*([] if latest else [alias]), name, *parameters],
    )
    if not found:
        raise _no_model(name)
    if found[0][1] is None:
        if latest:
            raise NotFound(f"The model {name!r} has no version.")
        raise Invalid(f"The model {name!r} has no alias {alias!r}.")
    return _version(found[0])


def download_address(actor: Actor, name: str, number: str | int) -> str:
    """Return where a version's files can be read. As MLflow has it, a run's address stays one and the client follows it.

    So does that of a copy, as long as the version it was copied from is there. Raises as ``get_version``.
    """
    version = get_version(actor, name, number)
    source = version.source
    while copied := _VERSION_ADDRESS.match(source):
        origin = fetch(
            "SELECT v.source FROM registry_registeredmodel m JOIN registry_modelversion v ON v.model_id = m.id"
            " WHERE m.name = %s AND m.deleted_at IS NULL AND v.number = %s AND v.deleted_at IS NULL",
            [copied[1], int(copied[2])],
        )
        if not origin:
            break
        source = origin[0][0]
    return source if source.startswith("runs:") else version.storage_location or version.source


def latest_versions(actor: Actor, name: str, stages: Sequence[str] = ()) -> list[VersionRecord]:
    """Return the version with the highest number of each of the stages (in any case; all of them if none is given).

    Raises NotFound for a model that is absent or hidden, Invalid for an unknown stage.
    """
    granted, parameters = _granted(actor)
    wanted = _canonical(stages)
    in_stages = f"AND l.stage IN ({', '.join(['%s'] * len(wanted))})" if wanted else ""
    found = fetch(
        f"""SELECT {_version_columns("v.stage")}
              FROM registry_registeredmodel m
              LEFT JOIN (SELECT * FROM ({_newest("(SELECT o.id FROM registry_registeredmodel o WHERE o.name = %s AND o.deleted_at IS NULL)")}) l
                          WHERE l.place = 1 {in_stages}) v ON v.model_id = m.id
             WHERE m.name = %s AND m.deleted_at IS NULL AND {granted}
             ORDER BY v.first_number""",
        [name, *wanted, name, *parameters],
    )
    if not found:
        raise _no_model(name)
    return [_version(row) for row in found if row[1] is not None]


def search_versions(
    actor: Actor, filter_text: str | None, order_by: Iterable[str] = (), *, limit: int, offset: int = 0
) -> list[VersionRecord]:
    """Return the versions that a filter finds, without aliases. Raises Invalid for a filter or order not understood."""
    (condition, values), order = search.versions(filter_text, order_by)
    granted, parameters = _granted(actor)
    found = fetch(
        f"""SELECT {_version_columns(_STAGE.format(v="v"), aliases=False)}
              FROM (SELECT v.id AS version_id FROM registry_modelversion v JOIN registry_registeredmodel m ON m.id = v.model_id
                     WHERE v.deleted_at IS NULL AND m.deleted_at IS NULL AND {condition} AND {granted}
                     ORDER BY {order} LIMIT %s OFFSET %s) page
              JOIN registry_modelversion v ON v.id = page.version_id
              JOIN registry_registeredmodel m ON m.id = v.model_id
             ORDER BY {order}""",
        [*values, *parameters, limit, offset],
    )
    return [_version(row) for row in found]


def get_model(actor: Actor, name: str) -> ModelRecord:
    """Return a registered model. Raises NotFound if it is absent or hidden."""
    granted, parameters = _granted(actor)
    found = fetch(
        f"SELECT {_model_columns()} FROM registry_registeredmodel m WHERE m.name = %s AND m.deleted_at IS NULL AND {granted}",
        [name, *parameters],
    )
    if not found:
        raise _no_model(name)
    return _model(found[0])


def of_new(model: RegisteredModel, tags: Mapping[str, str]) -> ModelRecord:
    """Return a model that was made just now, as it would be read."""
    listed = [Tag(key, value) for key, value in tags.items()]
    return ModelRecord(model.name, model.description, model.created_ms, model.updated_ms, listed, [], [])


def search_models(
    actor: Actor, filter_text: str | None, order_by: Iterable[str] = (), *, limit: int, offset: int = 0
) -> list[ModelRecord]:
    """Return the registered models that a filter finds. Raises Invalid for a filter or order not understood."""
    (condition, values), order = search.models(filter_text, order_by)
    granted, parameters = _granted(actor, row_by_row=order.startswith("m.name"))  # which an index has in order
    found = fetch(
        f"""SELECT {_model_columns()}
              FROM (SELECT m.* FROM registry_registeredmodel m
                     WHERE m.deleted_at IS NULL AND {condition} AND {granted} ORDER BY {order} LIMIT %s OFFSET %s) m
             ORDER BY {order}""",
        [*values, *parameters, limit, offset],
    )
    return [_model(row) for row in found]


def _granted(actor: Actor, *, row_by_row: bool = False) -> tuple[str, list[Any]]:
    return access.granted_sql(actor, Permission.MODEL_READ, RegisteredModel, "m.id", row_by_row=row_by_row)


@cache
def _version_columns(stage: str, *, aliases: bool = True) -> str:
    """Return the columns of a VersionRecord in its order. stage: the expression of the stage."""
    plain = ", ".join(stage if column == "stage" else f"v.{column}" for column in _PLAIN)
    named = as_text(json_array("a.alias", "registry_aliasassignment a WHERE a.version_id = v.id AND a.valid_to IS NULL"))
    return f"m.name, {plain}, {as_text(_tags_of('version', 'v'))}{f', {named}' if aliases else ''}"


def _tags_of(kind: str, owner: str) -> str:
    table = {"version": "registry_modelversiontag", "model": "registry_registeredmodeltag"}[kind]
    return json_array(json_object(key="t.key", value="t.value"), f"{table} t WHERE t.{kind}_id = {owner}.id")


def _newest(model_id: str) -> str:
    """Return the statement that ranks the versions of a model in each stage: place 1 is the newest."""
    return f"""SELECT n.*, s.stage_id AS stage,
                 ROW_NUMBER() OVER (PARTITION BY s.stage_id ORDER BY n.number DESC) AS place,
                 MIN(n.number) OVER (PARTITION BY s.stage_id) AS first_number
            FROM registry_stageassignment s
            JOIN registry_modelversion n ON n.id = s.version_id AND n.deleted_at IS NULL
           WHERE s.model_id = {model_id} AND s.valid_to IS NULL"""


@cache
def _model_columns() -> str:
    """Return the columns of a ModelRecord in its order."""
    members = {column: f"v.{column}" for column in _PLAIN}
    newest = json_array(
        json_object(name="m.name", tags=_tags_of("version", "v"), **members),
        f"({_newest('m.id')}) v WHERE v.place = 1",
    )
    aliases = json_array(
        json_object(alias="a.alias", version="n.number"),
        "registry_aliasassignment a JOIN registry_modelversion n ON n.id = a.version_id"
        " WHERE a.model_id = m.id AND a.valid_to IS NULL",
    )
    return (
        "m.name, m.description, m.created_ms, m.updated_ms, "
        f"{as_text(_tags_of('model', 'm'))}, {as_text(aliases)}, {as_text(newest)}"
    )


def _version(row: tuple[Any, ...]) -> VersionRecord:
    return VersionRecord(*(*row[:12], _tags(row[12]), _texts(row[13]) if len(row) > 13 else []))


def _model(row: tuple[Any, ...]) -> ModelRecord:
    return ModelRecord(*(*row[:4], _tags(row[4]), _aliases(row[5]), _versions(row[6])))


def _canonical(stages: Sequence[str]) -> list[str]:
    if not stages:
        return []
    known = list(Stage.objects.order_by("position").values_list("name", flat=True))
    spelled = {name.lower(): name for name in known}
    for stage in stages:
        if stage.lower() not in spelled:
            raise Invalid(f"There is no stage {stage!r}; the stages are {', '.join(known)}.")
    return [spelled[stage.lower()] for stage in stages]


def _no_model(name: str) -> NotFound:
    names.model_name(name)  # one that no model can have is a mistake, not an absence
    return NotFound(f"There is no registered model {name!r}, or you may not see it.")
