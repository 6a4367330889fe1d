"""Write and walk the graph of how things came about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from core import access
from core.access import Actor, Permission
from core.errors import NotFound
from core.sql import Statement, fetch, insertion, is_postgresql, run, run_all
from registry.models import EdgeKind, LineageEdge, LineageNode, ModelVersion, NodeKind, RegisteredModel
from tracking.models import Experiment

MAX_DEPTH = 50
MAX_NODES = 10_000
_ROWS_OF_A_STATEMENT = 1000
_NODE = {
    "kind": "text",
    "key": "text",
    "label": "text",
    "scope": "text",
    "attributes": "jsonb",
    "created_at": "timestamptz",
}


class Direction(StrEnum):
    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


@dataclass(frozen=True)
class Node:
    """One thing in a lineage answer; depth is its distance in edges from where the walk began."""

    key: str
    kind: str
    label: str
    depth: int
    attributes: dict[str, Any]
    tombstoned_at: datetime | None


@dataclass(frozen=True)
class Edge:
    """Cause -> effect between two nodes of the answer."""

    source: str
    target: str
    kind: str
    valid_from: datetime
    valid_to: datetime | None
    digest: str


@dataclass(frozen=True)
class Graph:
    """What a walk found. ``truncated`` says that the cap on nodes was reached; ``hidden`` counts what the actor may not see."""

    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool
    hidden: int


def node(kind: NodeKind, key: str, label: str, *, scope: str = "", **attributes: Any) -> LineageNode:
    """Return the node of this key, making it if need be."""
    found, _ = LineageNode.objects.get_or_create(
        key=f"{kind.value}:{key}", defaults={"kind": kind, "label": label, "scope": scope, "attributes": attributes}
    )
    return found


def link(source: LineageNode, target: LineageNode, kind: EdgeKind, *, at: datetime | None = None, digest: str = "") -> None:
    """Draw an edge that holds from now on; drawing it again changes nothing."""
    LineageEdge.objects.get_or_create(
        source=source, target=target, kind=kind, valid_to=None, defaults={"valid_from": at or timezone.now(), "digest": digest}
    )


@dataclass(frozen=True)
class Draft:
    """A node as it is to be, should there be none of its key yet. key: with its kind in front, as it is stored."""

    kind: NodeKind
    name: str
    label: str
    scope: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.kind.value}:{self.name}"


Links = Iterable[tuple[Draft, Draft, EdgeKind]]


def record_all(parts: Iterable[tuple[Iterable[Draft], Links, str]], *, at: datetime) -> None:
    """Write several graphs at once, each of nodes, edges (cause first) and the digest that these bear, where there are none yet."""
    for statement in begin_recording(parts, at=at):
        run(*statement)


def begin_recording(
    parts: Iterable[tuple[Iterable[Draft], Links, str]], *, at: datetime, beside: Sequence[Statement] = ()
) -> list[Statement]:
    """Return the statements that are left of what ``record_all`` writes, for who has more to write with them.

    Edges find their nodes by key, so where there are any, all else is carried out first; without, nothing is. beside: statements
    that go with those of the nodes.
    """
    drafts: dict[str, Draft] = {}
    drawn: dict[tuple[str, str, str], str] = {}
    for nodes, links, digest in parts:
        drafts |= {draft.key: draft for draft in nodes}
        for cause, effect, kind in links:
            drawn.setdefault((cause.key, effect.key, kind.value), digest)
    since = connection.ops.adapt_datetimefield_value(at)
    # In one order everywhere, so that two writers of the same nodes wait for each other instead of dead-locking.
    rows = [
        (d.kind.value, d.key, d.label[:600], d.scope, json.dumps(d.attributes), since)
        for d in sorted(drafts.values(), key=lambda d: d.key)
    ]
    insertions = [
        insertion("registry_lineagenode", _NODE, rows[i : i + _ROWS_OF_A_STATEMENT], "ON CONFLICT DO NOTHING")
        for i in range(0, len(rows), _ROWS_OF_A_STATEMENT)
    ]
    if not drawn:
        return [*beside, *insertions]
    run_all([*beside, *insertions[:1]])
    for statement in insertions[1:]:
        run(*statement)
    return _edges([(*ends, digest) for ends, digest in sorted(drawn.items())], since)


def _edges(edges: Sequence[tuple[str, str, str, str]], since: Any) -> list[Statement]:
    # SQLite keeps times as text, and would cast them away.
    moment = "CAST(%s AS timestamp with time zone)" if is_postgresql() else "%s"
    parts = [edges[i : i + _ROWS_OF_A_STATEMENT] for i in range(0, len(edges), _ROWS_OF_A_STATEMENT)]
    return [
        (
            f"""INSERT INTO registry_lineageedge (source_id, target_id, kind, valid_from, digest)
                SELECT (SELECT id FROM registry_lineagenode WHERE key = given.column1) AS cause,
                       (SELECT id FROM registry_lineagenode WHERE key = given.column2) AS effect,
                       given.column3, {moment}, given.column4
                  FROM (VALUES {", ".join(["(%s, %s, %s, %s)"] * len(some))}) given WHERE TRUE ORDER BY cause, effect ON CONFLICT DO NOTHING""",
            [since, *(part for edge in some for part in edge)],
        )
        for some in parts
    ]


def version_draft(version: ModelVersion) -> Draft:
    """Return the node of a model version, to be written with ``record_all``."""
    return Draft(
        NodeKind.MODEL_VERSION,
        f"{version.model_id}/{version.number}",
        f"{version.model.name} v{version.number}",
        scope=f"model:{version.model_id}",
        attributes={"model": version.model.name, "version": version.number, "digest": version.content_digest},
    )


def version_node(version: ModelVersion) -> LineageNode:
    """Return the node of a model version."""
    return node(
        NodeKind.MODEL_VERSION,
        f"{version.model_id}/{version.number}",
        f"{version.model.name} v{version.number}",
        scope=f"model:{version.model_id}",
        model=version.model.name,
        version=version.number,
        digest=version.content_digest,
    )


def stage_changed(version: ModelVersion, held: str, stage: str, *, at: datetime) -> None:
    """Record that a version left one stage for another; the initial stage is no event in its lineage."""
    own = version_node(version)
    LineageEdge.objects.filter(
        source=own, target__key=f"stage:{version.model_id}/{held}", kind=EdgeKind.PROMOTED_TO, valid_to__isnull=True
    ).update(valid_to=at)
    if stage == "None":
        return
    target = node(
        NodeKind.STAGE,
        f"{version.model_id}/{stage}",
        f"{version.model.name} {stage}",
        scope=f"model:{version.model_id}",
        model=version.model.name,
        stage=stage,
    )
    link(own, target, EdgeKind.PROMOTED_TO, at=at, digest=version.content_digest)


def walk(
    actor: Actor, key: str, *, direction: Direction = Direction.BOTH, depth: int = 10, as_of: datetime | None = None
) -> Graph:
    """Return what lies upstream (causes), downstream (effects) or both, as it stood at a time (now, if none is given).

    key: a node's key, such as ``run:<id>``, or ``model_version:<model name>/<number>``. depth: edges from the root, at most 50.
    At most 10,000 nodes are returned, nearest first. Raises NotFound for a node that is absent or hidden.
    """
    depth = max(1, min(depth, MAX_DEPTH))
    root = _find(key)
    if root is None or not _may_see(actor, [root]):
        raise NotFound(f"There is no lineage node {key!r}, or you may not see it.")
    at = as_of or timezone.now()
    depths: dict[int, int] = {root.pk: 0}
    truncated = False
    for upstream in {Direction.UPSTREAM: [True], Direction.DOWNSTREAM: [False]}.get(direction, [True, False]):
        found, capped = _closure(root.pk, upstream=upstream, depth=depth, at=at)
        truncated |= capped
        for pk, distance in found.items():
            depths[pk] = min(distance, depths.get(pk, distance))
    rows = list(LineageNode.objects.filter(pk__in=list(depths)[:MAX_NODES]))
    seen = _may_see(actor, rows)
    visible = [row for row in rows if row.pk in seen]
    edges = LineageEdge.objects.filter(source__in=seen, target__in=seen).filter(_holds(at)).select_related("source", "target")
    return Graph(
        root=root.key,
        nodes=sorted(
            (Node(r.key, r.kind, r.label, depths[r.pk], r.attributes, r.tombstoned_at) for r in visible),
            key=lambda n: (n.depth, n.key),
        ),
        edges=[
            Edge(e.source.key, e.target.key, e.kind, e.valid_from, e.valid_to, e.digest)
            for e in edges.order_by("valid_from", "pk")
        ],
        truncated=truncated,
        hidden=len(rows) - len(visible),
    )


def known(keys: Iterable[str]) -> set[str]:
    """Return those of these keys that have a node, so that a page leads to no graph that is not there."""
    return set(LineageNode.objects.filter(key__in=list(keys)).values_list("key", flat=True))


def _find(key: str) -> LineageNode | None:
    kind, _, rest = key.partition(":")
    if kind == NodeKind.MODEL_VERSION and not rest.split("/")[0].isdigit():
        name, _, number = rest.rpartition("/")
        model = RegisteredModel.objects.filter(name=name, deleted_at__isnull=True).first()
        key = f"{kind}:{model.pk}/{number}" if model else key
    return LineageNode.objects.filter(key=key).first()


def _holds(at: datetime) -> Q:
    return Q(valid_from__lte=at) & (Q(valid_to__isnull=True) | Q(valid_to__gt=at))


def _closure(start: int, *, upstream: bool, depth: int, at: datetime) -> tuple[dict[int, int], bool]:
    # UNION on (node, depth) visits a node once for each depth it has; keeping the least depth of a bounded walk is what is
    # asked here, and the limit inside the recursion bounds a walk over a dense graph.
    here, there = ("target_id", "source_id") if upstream else ("source_id", "target_id")
    statement = f"""
        WITH RECURSIVE reach(node, depth) AS (
          SELECT CAST(%s AS bigint), 0
          UNION
          SELECT e.{there}, reach.depth + 1 FROM registry_lineageedge e JOIN reach ON e.{here} = reach.node
           WHERE reach.depth < %s AND e.valid_from <= %s AND (e.valid_to IS NULL OR e.valid_to > %s)
        ) SELECT node, MIN(depth) FROM (SELECT node, depth FROM reach LIMIT {4 * MAX_NODES}) bounded
          GROUP BY node ORDER BY 2, 1 LIMIT {MAX_NODES + 1}"""
    rows = fetch(statement, [start, depth, at, at])
    return dict(rows[:MAX_NODES]), len(rows) > MAX_NODES


def _may_see(actor: Actor, rows: Iterable[LineageNode]) -> set[int]:
    """Return the ids of the nodes the actor may see: those of no one's scope, and those in a scope they may read."""
    by_scope: dict[str, list[int]] = {}
    for row in rows:
        by_scope.setdefault(row.scope, []).append(row.pk)
    seen = set(by_scope.pop("", []))
    for kind, model, permission in (
        ("model", RegisteredModel, Permission.MODEL_READ),
        ("experiment", Experiment, Permission.EXPERIMENT_READ),
    ):
        ids = [int(scope.partition(":")[2]) for scope in by_scope if scope.startswith(f"{kind}:")]
        if ids:
            readable = access.visible(actor, model._default_manager.filter(pk__in=ids), permission)
            for pk in readable.values_list("pk", flat=True):
                seen.update(by_scope[f"{kind}:{pk}"])
    return seen
