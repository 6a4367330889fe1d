"""Change what exists: registered models, their versions and tags.

Moving a version into a stage or under an alias is not here: that is decided in ``workflows.commands``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from artifacts import commands as artifacts
from core import access, audit, sql
from core.access import Actor, Permission
from core.audit import Event
from core.errors import AlreadyExists, Invalid, NotFound
from core.sql import Statement
from registry import manifest, names, provenance, rows, sources, stages
from registry.lineage import Draft
from registry.manifest import Manifest
from registry.models import (
    AliasAssignment,
    EdgeKind,
    LineageEdge,
    LineageNode,
    ModelGroupPermission,
    ModelVersion,
    ModelVersionTag,
    NodeKind,
    RegisteredModel,
    RegisteredModelTag,
    RiskTier,
    StageAssignment,
)
from registry.rows import ModelKey, Numbered, VersionKey
from registry.sources import Source
from registry.sql import insert_one, insertion_of

Tags = Mapping[str, str] | Iterable[tuple[str, str]]

MODEL_VERSIONS_TAG = "mlflow.modelVersions"  # on a logged model: the versions it was registered as
_MAX_RUN_LINK = 2048
_MODEL_TAG = {"model_id": "bigint", "key": "text", "value": "text"}
_LOGGED_MODEL_TAG = {"model_id": "text", "key": "text", "value": "text"}
_TAG = {"version_id": "bigint", "key": "text", "value": "text"}
_FILE = {"version_id": "bigint", "path": "text", "digest": "text", "size_bytes": "bigint"}


def create_model(
    *,
    actor: Actor,
    name: str,
    tags: Tags = (),
    description: str = "",
    owner_team: str | None = None,
    risk_tier: str = RiskTier.MEDIUM,
) -> RegisteredModel:
    """Make an empty registered model; its creator may manage it, the owner team may write to it.

    owner_team: the name of a group. Raises Denied, Invalid, AlreadyExists, or NotFound for an unknown team.
    """
    access.require(actor, Permission.MODEL_CREATE)
    wanted = names.tags(tags)
    team = _team(owner_team) if owner_team else None
    now = _milliseconds(timezone.now())
    model = RegisteredModel(
        name=names.model_name(name),
        description=_description(description),
        risk_tier=_risk_tier(risk_tier),
        owner_team=team,
        created_by_id=actor.user_id,
        created_ms=now,
        updated_ms=now,
        is_prompt=names.is_prompt(wanted),
    )
    _insert_model(actor, model, wanted)
    return model


@transaction.atomic
def _insert_model(actor: Actor, model: RegisteredModel, tags: Mapping[str, str]) -> None:
    if insert_one(model, "ON CONFLICT DO NOTHING") is None:
        raise _name_taken(model.name)
    belonging = []
    if tags:
        belonging.append(sql.insertion("registry_registeredmodeltag", _MODEL_TAG, [(model.pk, *pair) for pair in tags.items()]))
    if actor.user_id is not None:
        belonging += access.granting(model, "model_manage", users=[actor.user_id])
    if model.owner_team is not None:
        belonging += access.granting(model, "model_write", groups=[model.owner_team.pk])
    _record(
        actor,
        Event.MODEL_CREATED,
        model,
        beside=belonging,
        after={
            "description": model.description,
            "tags": tags,
            "risk_tier": model.risk_tier,
            "owner_team": model.owner_team.name if model.owner_team else "",
        },
    )


@transaction.atomic
def update_model(
    *, actor: Actor, name: str, description: str | None = None, risk_tier: str | None = None, owner_team: str | None = None
) -> RegisteredModel:
    """Change what is given. Tier and team decide over policies and rights, so they take the right to manage the model.

    owner_team: the name of a group, or "" for none; the team before loses its right to write.
    Raises NotFound, Denied, Invalid.
    """
    needed = Permission.MODEL_WRITE if risk_tier is None and owner_team is None else Permission.MODEL_MANAGE
    model = rows.model(actor, needed, name, lock=True)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    if description is not None:
        before["description"], after["description"] = model.description, description
        model.description = _description(description)
    if risk_tier is not None:
        before["risk_tier"], after["risk_tier"] = model.risk_tier, risk_tier
        model.risk_tier = _risk_tier(risk_tier)
    if owner_team is not None:
        before["owner_team"] = model.owner_team.name if model.owner_team else ""
        after["owner_team"] = owner_team
        _change_team(model, _team(owner_team) if owner_team else None)
    model.updated_ms = _milliseconds(timezone.now())
    model.save(update_fields=["description", "risk_tier", "owner_team", "updated_ms"])
    _record(actor, Event.MODEL_UPDATED, model, before=before, after=after)
    return model


@transaction.atomic
def rename_model(*, actor: Actor, name: str, new_name: str) -> RegisteredModel:
    """Give a model another name; its versions, tags, aliases and history stay with it.

    Raises NotFound, Denied, Invalid, or AlreadyExists for a taken name.
    """
    model = rows.model(actor, Permission.MODEL_MANAGE, name, lock=True)
    model.name, model.updated_ms = names.model_name(new_name), _milliseconds(timezone.now())
    try:
        model.save(update_fields=["name", "updated_ms"])
    except IntegrityError:
        raise _name_taken(new_name) from None
    _rename_nodes(model)
    _record(actor, Event.MODEL_RENAMED, model, before={"name": name}, after={"name": new_name})
    return model


@transaction.atomic
def delete_model(*, actor: Actor, name: str) -> None:
    """Leave a tombstone of the model and its versions; the name is free again. Where they stood stays on record, ended now.

    Raises NotFound, Denied.
    """
    model = rows.model(actor, Permission.MODEL_MANAGE, name, lock=True)
    now = timezone.now()
    alive = ModelVersion.objects.filter(model=model, deleted_at__isnull=True)
    numbers = list(alive.order_by("number").values_list("number", flat=True))
    _end_places(model, now)
    ModelVersion.objects.filter(model=model, deleted_at__isnull=True).update(deleted_at=now)
    model.deleted_at = now
    model.save(update_fields=["deleted_at"])
    _tombstone(model, numbers, now)
    for number in numbers:
        artifacts.unfreeze(rows.holder(model, number))
    _record(actor, Event.MODEL_DELETED, model, before={"versions": numbers})


@transaction.atomic
def set_model_tag(*, actor: Actor, name: str, key: str, value: str = "") -> None:
    """Set a tag of a model, over an older value if there is one. Raises NotFound, Denied, Invalid."""
    names.tag(key, value)
    model = rows.model_key(actor, Permission.MODEL_WRITE, name)
    tag = sql.insertion(
        "registry_registeredmodeltag",
        _MODEL_TAG,
        [(model.id, key, value)],
        "ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
    )
    if key == names.IS_PROMPT_TAG:
        RegisteredModel.objects.filter(pk=model.id).update(is_prompt=names.is_prompt({key: value}))
    _record_model_tag(actor, model, beside=[tag], after={"key": key, "value": value})


@transaction.atomic
def delete_model_tag(*, actor: Actor, name: str, key: str) -> None:
    """Remove a tag of a model; one that is not there is no mistake. Raises NotFound, Denied, Invalid for what is no key."""
    names.tag(key)
    model = rows.model_key(actor, Permission.MODEL_WRITE, name)
    deleted, _ = RegisteredModelTag.objects.filter(model=model.id, key=key).delete()
    if not deleted:
        return
    if key == names.IS_PROMPT_TAG:
        RegisteredModel.objects.filter(pk=model.id).update(is_prompt=False)
    _record_model_tag(actor, model, before={"key": key}, after={"key": key, "value": None})


def register_version(
    *,
    actor: Actor,
    model_name: str,
    source: str,
    run_id: str | None = None,
    tags: Tags = (),
    run_link: str = "",
    description: str = "",
    logged_model_id: str | None = None,
) -> ModelVersion:
    """Add the next version of a model: its number, its manifest and digest, where it came from, and its first stage.

    The files it consists of can no longer be changed from then on. run_id, logged_model_id: None where none was given, which
    a source of the kind ``models:/name/1`` tells from "". Numbers are never used twice, not even after a deletion.
    Raises NotFound, Denied, or Invalid for a source that is refused.
    """
    wanted = names.tags(tags)
    if len(run_link) > _MAX_RUN_LINK:
        raise Invalid(f"A run link has at most {_MAX_RUN_LINK} characters.")
    if len(run_id or "") > 32 or len(logged_model_id or "") > 40:
        raise Invalid("run_id has 32 characters and model_id at most 40.")
    prompt = names.is_prompt(wanted)
    found = sources.resolve(actor, source, run_id, logged_model_id, prompt=prompt)
    return _register(actor, model_name, found, provenance.used_by(found), wanted, run_link, _description(description))


@transaction.atomic
def _register(
    actor: Actor,
    model_name: str,
    found: Source,
    used: Sequence[Draft],
    tags: Mapping[str, str],
    run_link: str,
    description: str,
) -> ModelVersion:
    now = timezone.now()
    folder = found.folder
    lock = artifacts.freezing_lock(folder) if folder else None
    taken = rows.numbered(actor, Permission.MODEL_WRITE, model_name, at=_milliseconds(now), lock=lock)
    content, belonging = manifest.frozen_later(folder, rows.holder(taken.model, taken.number))
    version = _version(actor, taken, found, content, run_link, description, now)
    belonging.append(insertion_of(version))
    belonging.append(stages.beginning(version, taken.stage, actor=actor, at=now))
    if tags:
        belonging.append(sql.insertion("registry_modelversiontag", _TAG, [(version.pk, *pair) for pair in tags.items()]))
    if content.files:
        files = [(version.pk, file.path, file.digest, file.size_bytes) for file in content.files]
        belonging.append(sql.insertion("registry_modelversionfile", _FILE, files))
    left = provenance.begin_recording(version, found, used, content, at=now, beside=belonging)
    if found.logged_model is not None and found.logged_model_id and found.copied_from is None:
        left += _telling_logged_model(version)
    _record_version(
        actor,
        Event.VERSION_REGISTERED,
        version,
        after={
            "source": version.source,
            "content_digest": version.content_digest,
            "files": len(content.files),
            "size_bytes": version.size_bytes,
            "run_id": version.run_id,
            "logged_model_id": version.logged_model_id,
            "tags": tags,
            "description": description,
        },
        beside=left,
    )
    return version


@transaction.atomic
def update_version(*, actor: Actor, model_name: str, number: str | int, description: str | None) -> ModelVersion:
    """Change a version's description; None clears it, which MLflow tells from "". Raises NotFound, Denied, Invalid."""
    subject = rows.version(actor, Permission.MODEL_WRITE, model_name, number)
    before = subject.description
    subject.description = None if description is None else _description(description)
    subject.updated_ms = _milliseconds(timezone.now())
    subject.save(update_fields=["description", "updated_ms"])
    _record_version(actor, Event.VERSION_UPDATED, subject, before={"description": before}, after={"description": description})
    return subject


@transaction.atomic
def delete_version(*, actor: Actor, model_name: str, number: str | int) -> None:
    """Leave a tombstone of a version. Where it stood stays on record, ended now; its number is not used again.

    Raises NotFound, Denied, Invalid.
    """
    subject = rows.version(actor, Permission.MODEL_MANAGE, model_name, number, lock=True)
    now = timezone.now()
    before = _end_places(subject.model, now, subject)
    subject.deleted_at = now
    subject.save(update_fields=["deleted_at"])
    RegisteredModel.objects.filter(pk=subject.model_id).update(updated_ms=_milliseconds(now))
    _tombstone(subject.model, [subject.number], now)
    artifacts.unfreeze(rows.holder(subject.model, subject.number))
    _record_version(actor, Event.VERSION_DELETED, subject, before=before)


def set_version_tag(*, actor: Actor, model_name: str, number: str | int, key: str, value: str = "") -> None:
    """Set a tag of a version, over an older value if there is one. Raises NotFound, Denied, Invalid."""
    names.tag(key, value)
    subject = rows.version_key(actor, Permission.MODEL_WRITE, model_name, number)
    tag = sql.insertion(
        "registry_modelversiontag",
        _TAG,
        [(subject.id, key, value)],
        "ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
    )
    _record_version_tag(actor, subject, beside=[tag], after={"key": key, "value": value})


@transaction.atomic
def delete_version_tag(*, actor: Actor, model_name: str, number: str | int, key: str) -> None:
    """Remove a tag of a version; one that is not there is no mistake. Raises NotFound, Denied, Invalid."""
    names.tag(key)
    subject = rows.version_key(actor, Permission.MODEL_WRITE, model_name, number)
    deleted, _ = ModelVersionTag.objects.filter(version=subject.id, key=key).delete()
    if deleted:
        _record_version_tag(actor, subject, before={"key": key}, after={"key": key, "value": None})


def _version(
    actor: Actor,
    taken: Numbered,
    source: Source,
    content: Manifest,
    run_link: str,
    description: str,
    now: datetime,
) -> ModelVersion:
    at = _milliseconds(now)
    version = ModelVersion(
        id=taken.version_id,
        model=taken.model,
        number=taken.number,
        description=description,
        source=source.source,
        storage_location=source.storage_location,
        run_id=source.run_id,
        run_link=run_link,
        logged_model_id=source.logged_model_id,
        content_digest=content.digest,
        size_bytes=content.size_bytes,
        mlmodel=manifest.mlmodel(content),
        created_by_id=actor.user_id,
        created_ms=at,
        updated_ms=at,
    )
    version.first_stage = taken.stage
    return version


def _telling_logged_model(version: ModelVersion) -> list[Statement]:
    """Return what adds the version to its logged model's list of versions, where MLflow's pages look for it."""
    entry = {"name": version.model.name, "version": version.number}
    held = sql.fetch_one(
        "SELECT value FROM tracking_loggedmodeltag WHERE model_id = %s AND key = %s",
        [version.logged_model_id, MODEL_VERSIONS_TAG],
    )
    listed: list[object] = []
    if held is not None:
        try:
            given = json.loads(held[0])
        except (ValueError, RecursionError):  # clients may write this tag too, and what they wrote is no list of versions
            given = None
        listed = given if isinstance(given, list) else []
    if entry in listed:
        return []
    return [
        sql.insertion(
            "tracking_loggedmodeltag",
            _LOGGED_MODEL_TAG,
            [(version.logged_model_id, MODEL_VERSIONS_TAG, json.dumps([*listed, entry]))],
            "ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
        )
    ]


def _end_places(model: RegisteredModel, now: datetime, version: ModelVersion | None = None) -> dict[str, object]:
    """End the open stages and aliases of one version, or of all of a model; return what they were."""
    stages = StageAssignment.objects.filter(model=model, valid_to__isnull=True)
    aliases = AliasAssignment.objects.filter(model=model, valid_to__isnull=True)
    if version is not None:
        stages, aliases = stages.filter(version=version), aliases.filter(version=version)
    held: dict[str, object] = {
        "stages": sorted(set(stages.values_list("stage_id", flat=True))),
        "aliases": sorted(aliases.values_list("alias", flat=True)),
    }
    stages.update(valid_to=now)
    aliases.update(valid_to=now)
    return held


def _tombstone(model: RegisteredModel, numbers: list[int], now: datetime) -> None:
    """Mark the lineage nodes of versions as gone, and end the edges to where they stood."""
    keys = [f"{NodeKind.MODEL_VERSION.value}:{model.pk}/{number}" for number in numbers]
    LineageEdge.objects.filter(source__key__in=keys, kind=EdgeKind.PROMOTED_TO, valid_to__isnull=True).update(valid_to=now)
    LineageNode.objects.filter(key__in=keys).update(tombstoned_at=now)


def _rename_nodes(model: RegisteredModel) -> None:
    nodes = list(LineageNode.objects.filter(scope=f"model:{model.pk}"))
    for node in nodes:
        before = str(node.attributes.get("model", ""))
        if before and node.label.startswith(before):
            node.label = (model.name + node.label[len(before) :])[:600]
            node.attributes["model"] = model.name
    LineageNode.objects.bulk_update(nodes, ["label", "attributes"], batch_size=500)


def _change_team(model: RegisteredModel, team: Group | None) -> None:
    if model.owner_team_id is not None:
        ModelGroupPermission.objects.filter(
            content_object=model, group_id=model.owner_team_id, permission__codename="model_write"
        ).delete()
    model.owner_team = team
    if team is not None:
        access.grant(model, "model_write", groups=[team.pk])


def _team(name: str) -> Group:
    team = Group.objects.filter(name=name).first()
    if team is None:
        raise NotFound(f"There is no team {name!r}.")
    return team


def _risk_tier(tier: str) -> str:
    if tier not in RiskTier.values:
        raise Invalid(f"There is no risk tier {tier!r}; the tiers are {', '.join(RiskTier.values)}.")
    return str(tier)


def _description(text: str) -> str:
    if len(text) > names.MAX_TAG_VALUE:
        raise Invalid(f"A description has at most {names.MAX_TAG_VALUE} characters.")
    if "\x00" in text:
        raise Invalid("A description cannot hold a NUL character.")
    return text


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"There is a registered model {name!r} already.")


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _record(actor: Actor, event: Event, model: RegisteredModel, **change: Any) -> None:
    audit.record(actor, event, subject=("model", model.name), scope=f"model:{model.pk}", **change)


def _record_version(
    actor: Actor,
    event: Event,
    version: ModelVersion,
    *,
    before: object | None = None,
    after: object | None = None,
    beside: Sequence[Statement] = (),
) -> None:
    audit.record(
        actor,
        event,
        subject=("model_version", f"{version.model.name}/{version.number}"),
        scope=f"model:{version.model_id}",
        before=before,
        after=after,
        beside=beside,
    )


def _record_model_tag(actor: Actor, model: ModelKey, **change: Any) -> None:
    audit.record(actor, Event.MODEL_TAGGED, subject=("model", model.name), scope=f"model:{model.id}", **change)


def _record_version_tag(actor: Actor, version: VersionKey, **change: Any) -> None:
    subject = ("model_version", f"{version.name}/{version.number}")
    audit.record(actor, Event.VERSION_TAGGED, subject=subject, scope=f"model:{version.model_id}", **change)
