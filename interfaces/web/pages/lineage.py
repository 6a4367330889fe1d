"""What the lineage explorer shows: a graph as lanes and as a list, and which production models depend on the start."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString

from interfaces.web import charts
from interfaces.web.pages import words
from registry.lineage import Graph, Node

_LANE_OF = {
    "dataset": 0,
    "code": 0,
    "environment": 0,
    "run": 1,
    "logged_model": 2,
    "model_version": 3,
    "stage": 4,
    "deployment": 4,
}
_LANES = ("Data, code, environment", "Runs", "Logged models", "Model versions", "Stages and deployments")
_ICON = {"run": "run_node", "model_version": "model"}
_KIND_WORDS = {
    "dataset": "Data set",
    "code": "Code",
    "environment": "Environment",
    "run": "Run",
    "logged_model": "Logged model",
    "model_version": "Model version",
    "stage": "Stage",
    "deployment": "Deployment",
}
_DATASET = re.compile(r"([^/@]+)@v(\d{1,9})")  # as registered here; what runs logged has a slash
_DRAWN_AT_MOST = 60  # beyond it a drawing says less than the list


@dataclass(frozen=True)
class Start:
    """What the explorer was asked for."""

    node: str
    direction: str = "both"
    depth: int = 10
    as_of: datetime | None = None
    view: str = ""

    def query(self, **changes: object) -> str:
        """Return the address of this view with some of it changed."""
        values: dict[str, object] = {"node": self.node, "direction": self.direction, "depth": self.depth}
        if self.as_of:
            values["as_of"] = words.utc(self.as_of).date().isoformat()
        if self.view:
            values["view"] = self.view
        return urlencode({**values, **changes})


@dataclass(frozen=True)
class Row:
    title: str
    kind: str
    icon: str
    subtitle: str
    steps: int
    href: str
    page: str
    gone: bool


@dataclass(frozen=True)
class Impact:
    """A model version that depends on the start, and where it stands."""

    title: str
    href: str
    stages: str
    steps: int
    production: bool


@dataclass(frozen=True)
class Explorer:
    title: str
    kind: str
    digest: str
    graph: SafeString | None
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    impact: tuple[Impact, ...]
    in_production: int
    facts: tuple[tuple[str, str], ...]
    truncated: bool
    hidden: int
    too_many: bool
    node_count: int
    page: str


def explorer(graph: Graph, start: Start) -> Explorer:
    """Return the page of a lineage answer."""
    by_key = {node.key: node for node in graph.nodes}
    root = by_key[graph.root]
    stages: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        if edge.kind == "promoted_to" and edge.target in by_key:
            stages[edge.source].append(str(by_key[edge.target].attributes.get("stage", by_key[edge.target].label)))
    rows = [_row(node, start, stages.get(node.key, [])) for node in graph.nodes]
    groups: dict[int, list[Row]] = defaultdict(list)
    for node, row in zip(graph.nodes, rows, strict=True):
        groups[_LANE_OF.get(node.kind, 0)].append(row)
    effects = _effects(graph)
    impact = sorted(
        (
            Impact(
                node.label,
                page_of(node),
                words.listed(stages.get(node.key, [])),
                node.depth,
                "Production" in stages.get(node.key, []),
            )
            for node in graph.nodes
            if node.kind == "model_version" and node.key in effects and (node.key != root.key or stages.get(node.key))
        ),
        key=lambda each: (not each.production, each.title),
    )
    drawn = len(graph.nodes) <= _DRAWN_AT_MOST and start.view != "list"
    return Explorer(
        title=root.label,
        kind=_KIND_WORDS.get(root.kind, root.kind),
        digest=str(root.attributes.get("digest") or ""),
        graph=_drawing(graph, start, stages) if drawn else None,
        groups=tuple((_LANES[lane], tuple(groups[lane])) for lane in sorted(groups)),
        impact=tuple(impact),
        in_production=sum(each.production for each in impact),
        facts=_facts(root),
        truncated=graph.truncated,
        hidden=graph.hidden,
        too_many=len(graph.nodes) > _DRAWN_AT_MOST,
        node_count=len(graph.nodes),
        page=page_of(root),
    )


def page_of(node: Node) -> str:
    """Return the address of the thing's own page, or nothing if it has none."""
    model, version = node.attributes.get("model"), node.attributes.get("version")
    if node.kind == "model_version" and model and version:
        return reverse("web:version", args=[model, version])
    if node.kind == "stage" and model:
        return reverse("web:model", args=[model])
    if node.kind == "dataset":
        return dataset_page(node.key.removeprefix("dataset:"))
    return ""


def dataset_page(reference: str) -> str:
    """Return the address of the version that ``name@v2`` means, or nothing if the words name no registered one."""
    named = _DATASET.fullmatch(reference)
    return reverse("web:dataset-version", args=[named[1], int(named[2])]) if named else ""


def explore(key: str) -> str:
    """Return the address of the explorer at a node."""
    return f"{reverse('web:lineage')}?{urlencode({'node': key})}"


def subtitle(node: Node, stages: list[str]) -> str:
    """Return what distinguishes a node from others of its name."""
    facts = node.attributes
    if node.tombstoned_at:
        return f"deleted {words.day(node.tombstoned_at)}"
    if node.kind == "model_version":
        return ", ".join(stages) if stages else "no stage"
    if node.kind == "stage":
        return "stage"
    if rows := facts.get("rows") or facts.get("row_count"):
        return f"{rows:,} rows" if isinstance(rows, int) else f"{rows} rows"
    if digest := facts.get("digest"):
        return words.short(str(digest))
    return _KIND_WORDS.get(node.kind, node.kind).lower()


def _row(node: Node, start: Start, stages: list[str]) -> Row:
    return Row(
        title=node.label,
        kind=_KIND_WORDS.get(node.kind, node.kind),
        icon=_ICON.get(node.kind, node.kind),
        subtitle=subtitle(node, stages),
        steps=node.depth,
        href="?" + start.query(node=node.key),
        page=page_of(node),
        gone=node.tombstoned_at is not None,
    )


def _drawing(graph: Graph, start: Start, stages: dict[str, list[str]]) -> SafeString:
    nodes = [
        charts.GraphNode(
            key=node.key,
            lane=_LANE_OF.get(node.kind, 0),
            icon=_ICON.get(node.kind, node.kind),
            title=str(node.attributes.get("stage") or node.label),
            subtitle=str(node.attributes["model"])
            if node.kind == "stage" and node.attributes.get("model")
            else subtitle(node, stages.get(node.key, [])),
            href="?" + start.query(node=node.key),
            look=_look(node, graph.root, stages.get(node.key, [])),
        )
        for node in graph.nodes
    ]
    root = next(node.label for node in graph.nodes if node.key == graph.root)
    return charts.layered(
        nodes,
        [charts.GraphEdge(edge.source, edge.target) for edge in graph.edges],
        _LANES,
        icons=static("countersign/icons.svg"),
        label=f"Lineage of {root}: {words.count_of(len(nodes), 'node')}, from causes on the left to effects on the right",
    )


def _look(node: Node, root: str, stages: list[str]) -> str:
    if node.key == root:
        return "root"
    if node.tombstoned_at:
        return "gone"
    return "prod" if "Production" in stages else ""


def _effects(graph: Graph) -> set[str]:
    """Return the keys of what lies downstream of the root within the graph, the root included."""
    out: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        out[edge.source].append(edge.target)
    seen, waiting = {graph.root}, [graph.root]
    while waiting:
        for target in out[waiting.pop()]:
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def _facts(node: Node) -> tuple[tuple[str, str], ...]:
    shown = [
        (words.sentence(name), words.short(str(value)) if name == "digest" else str(value))
        for name, value in sorted(node.attributes.items())
        if value not in (None, "", {}, [])
    ]
    return (*shown, ("Key", node.key))
