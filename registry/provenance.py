"""What is known of how a version came about, written into the lineage graph when it is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from core.sql import Statement, fetch
from registry import lineage
from registry.lineage import Draft
from registry.manifest import REQUIREMENTS, Manifest
from registry.models import EdgeKind, ModelVersion, NodeKind
from registry.sources import Source
from tracking.models import LoggedModel, Run

_COMMIT = "mlflow.source.git.commit"
_SCRIPT = "mlflow.source.name"
_LONGEST_KEY = 500

Link = tuple[Draft, Draft, EdgeKind]


def begin_recording(
    version: ModelVersion,
    source: Source,
    used: Sequence[Draft],
    manifest: Manifest,
    *,
    at: datetime,
    beside: Sequence[Statement] = (),
) -> list[Statement]:
    """Draw data sets, code and environment -> run -> logged model -> version, as far as they are known here.

    Returns the statements that are left to be carried out, as ``lineage.begin_recording`` does. used: what ``used_by`` says of the
    source. beside: other statements that go with those of the nodes.
    """
    return lineage.begin_recording([(*_drawn(version, source, used, manifest), version.content_digest)], at=at, beside=beside)


def record_all(registered: Iterable[tuple[ModelVersion, Source, Manifest]], *, at: datetime) -> None:
    """Draw many versions at once: two statements, and one for each run."""
    lineage.record_all(
        [(*_drawn(version, source, used_by(source), found), version.content_digest) for version, source, found in registered],
        at=at,
    )


def used_by(source: Source) -> list[Draft]:
    """Return the data sets and the code of the run that a source came from, by one statement."""
    return [] if source.run is None else _used(source.run)


def _drawn(version: ModelVersion, source: Source, used: Sequence[Draft], manifest: Manifest) -> tuple[list[Draft], list[Link]]:
    effect = lineage.version_draft(version)
    nodes: list[Draft] = [effect]
    links: list[Link] = []
    run = source.run
    if run is not None:
        begun = _run_draft(run)
        causes = [*used, *_environment(manifest)]
        nodes += [begun, *causes]
        links += [(cause, begun, EdgeKind.USED) for cause in causes]
    if source.logged_model is not None:
        logged = _logged_model_draft(source.logged_model)
        nodes.append(logged)
        links.append((logged, effect, EdgeKind.REGISTERED_AS))
        if run is not None and source.logged_model.source_run_id == run.pk:
            links.append((begun, logged, EdgeKind.PRODUCED))
    elif run is not None:
        links.append((begun, effect, EdgeKind.REGISTERED_AS))
    if source.copied_from is not None:
        origin = lineage.version_draft(source.copied_from)
        nodes.append(origin)
        links.append((origin, effect, EdgeKind.REGISTERED_AS))
    return nodes, links


def _run_draft(run: Run) -> Draft:
    return Draft(
        NodeKind.RUN,
        run.pk,
        run.name or run.pk,
        scope=f"experiment:{run.experiment_id}",
        attributes={"experiment": run.experiment_id, "user": run.user_id_text},
    )


def _logged_model_draft(logged: LoggedModel) -> Draft:
    return Draft(
        NodeKind.LOGGED_MODEL,
        logged.pk,
        logged.name or logged.pk,
        scope=f"experiment:{logged.experiment_id}",
        attributes={"experiment": logged.experiment_id},
    )


def _used(run: Run) -> list[Draft]:
    found = fetch(
        """SELECT i.id AS place, d.experiment_id, d.name, d.digest, d.source_type FROM tracking_runinput i
             JOIN tracking_inputdataset d ON d.id = i.dataset_id WHERE i.run_id = %s
           UNION ALL SELECT NULL, NULL, key, value, NULL FROM tracking_runtag WHERE run_id = %s AND key IN (%s, %s)
           ORDER BY place""",
        [run.pk, run.pk, _COMMIT, _SCRIPT],
    )
    datasets = [
        Draft(
            NodeKind.DATASET,
            _short(f"{experiment_id}/{name}/{digest}"),
            f"{name} {digest}".strip(),
            scope=f"experiment:{experiment_id}",
            attributes={"name": name, "digest": digest, "source_type": source_type},
        )
        for place, experiment_id, name, digest, source_type in found
        if place is not None
    ]
    return datasets + _code(run, {key: value for place, _, key, value, _ in found if place is None})


def _code(run: Run, tags: dict[str, str]) -> list[Draft]:
    commit, script = tags.get(_COMMIT, ""), tags.get(_SCRIPT, "")
    if not commit and not script:
        return []
    name = f"{script}@{commit}" if commit else script
    # A script's name may tell what others are not to know; so the node is seen by those who may read the experiment.
    return [
        Draft(
            NodeKind.CODE,
            _short(f"{run.experiment_id}/{name}"),
            name,
            scope=f"experiment:{run.experiment_id}",
            attributes={"commit": commit[:200], "source": script[:1000]},
        )
    ]


def _environment(manifest: Manifest) -> list[Draft]:
    listed = manifest.find(REQUIREMENTS)
    if listed is None:
        return []
    return [
        Draft(NodeKind.ENVIRONMENT, listed.digest, f"{REQUIREMENTS} {listed.digest[:12]}", attributes={"sha256": listed.digest})
    ]


def _short(name: str) -> str:
    """Return a name that fits into a node's key; a longer one is told from others by its digest."""
    if len(name) <= _LONGEST_KEY:
        return name
    return f"{name[: _LONGEST_KEY - 65]}~{hashlib.sha256(name.encode()).hexdigest()}"
