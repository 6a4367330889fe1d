"""Registered models and versions as they travel from one server to another, and how what we hold reads in that form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from core import sql
from core.access import Actor
from core.sql import fetch
from tracking.moving import BATCH, require


class MovedModel(msgspec.Struct, frozen=True):
    """A registered model; a prompt is one too. aliases: name -> number of the version."""

    name: str
    description: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class MovedVersion(msgspec.Struct, frozen=True):
    """A version. source: as it was registered; storage_location: where its files lie, "" where that is not known apart."""

    model: str
    number: int
    description: str | None
    user: str
    created_ms: int
    updated_ms: int
    stage: str
    source: str
    storage_location: str
    run_id: str
    run_link: str
    status: str
    status_message: str
    tags: dict[str, str] = {}

    @property
    def id(self) -> str:
        """Return by what it is known: the model's name and its number."""
        return f"{self.model}/{self.number}"

    @property
    def address(self) -> str:
        """Return where its files lie."""
        return self.storage_location or self.source


def model_names(actor: Actor) -> Iterator[list[str]]:
    """Yield the names of all models, prompts too, in batches. Raises Denied."""
    require(actor)
    last, column = "", sql.ordered("name")
    while found := [
        row[0]
        for row in fetch(
            f"""SELECT name FROM registry_registeredmodel WHERE deleted_at IS NULL AND {column} > %s
                 ORDER BY {column} LIMIT {BATCH // 5}""",
            [last],
        )
    ]:
        yield found
        last = found[-1]


def models(actor: Actor, names: Sequence[str]) -> list[MovedModel]:
    """Return models by name. Raises Denied."""
    require(actor)
    marks = sql.marks(names)
    tags: dict[int, dict[str, str]] = {}
    aliases: dict[int, dict[str, int]] = {}
    for owner, key, value in fetch(
        f"""SELECT t.model_id, t.key, t.value FROM registry_registeredmodeltag t JOIN registry_registeredmodel m
                ON m.id = t.model_id WHERE m.deleted_at IS NULL AND m.name IN ({marks})""",
        names,
    ):
        tags.setdefault(owner, {})[key] = value
    for owner, alias, number in fetch(
        f"""SELECT a.model_id, a.alias, v.number FROM registry_aliasassignment a JOIN registry_registeredmodel m ON m.id = a.model_id
              JOIN registry_modelversion v ON v.id = a.version_id
             WHERE m.deleted_at IS NULL AND a.valid_to IS NULL AND m.name IN ({marks})""",
        names,
    ):
        aliases.setdefault(owner, {})[alias] = number
    rows = fetch(
        f"""SELECT id, name, description, created_ms, updated_ms FROM registry_registeredmodel
             WHERE deleted_at IS NULL AND name IN ({marks})""",
        names,
    )
    return [MovedModel(*(*row[1:], tags.get(row[0], {}), aliases.get(row[0], {}))) for row in rows]


def versions(actor: Actor, model_names: Sequence[str]) -> list[MovedVersion]:
    """Return the versions of models, by number. Raises Denied."""
    require(actor)
    which = f"m.deleted_at IS NULL AND v.deleted_at IS NULL AND m.name IN ({sql.marks(model_names)})"
    joined = "registry_modelversion v JOIN registry_registeredmodel m ON m.id = v.model_id"
    tags: dict[int, dict[str, str]] = {}
    for owner, key, value in fetch(
        f"SELECT t.version_id, t.key, t.value FROM {joined} JOIN registry_modelversiontag t ON t.version_id = v.id WHERE {which}",
        model_names,
    ):
        tags.setdefault(owner, {})[key] = value
    rows = fetch(
        f"""SELECT v.id, m.name, v.number, v.description,
                   COALESCE((SELECT u.username FROM core_user u WHERE u.id = v.created_by_id), v.user_id_text),
                   v.created_ms, v.updated_ms,
                   (SELECT s.stage_id FROM registry_stageassignment s WHERE s.version_id = v.id AND s.valid_to IS NULL),
                   v.source, v.storage_location, v.run_id, v.run_link, v.status, v.status_message
              FROM {joined} WHERE {which} ORDER BY m.id, v.number""",
        model_names,
    )
    return [MovedVersion(*(*row[1:], tags.get(row[0], {}))) for row in rows]


def manifests(actor: Actor, model_name: str) -> dict[int, dict[str, tuple[str, int]]]:
    """Return the manifests of a model's versions: number -> path -> (SHA-256, bytes). Raises Denied."""
    require(actor)
    found: dict[int, dict[str, tuple[str, int]]] = {}
    rows: list[tuple[Any, ...]] = fetch(
        """SELECT v.number, f.path, f.digest, f.size_bytes FROM registry_modelversionfile f
             JOIN registry_modelversion v ON v.id = f.version_id JOIN registry_registeredmodel m ON m.id = v.model_id
            WHERE m.name = %s AND m.deleted_at IS NULL AND v.deleted_at IS NULL""",
        [model_name],
    )
    for number, path, digest, size in rows:
        found.setdefault(number, {})[path] = (digest, size)
    return found
