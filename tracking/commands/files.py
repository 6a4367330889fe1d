"""Files, for who may write where they go."""

from __future__ import annotations

from artifacts import commands as artifact_commands
from artifacts import paths
from artifacts.queries import FileInfo
from artifacts.store import Source
from core.access import Actor
from core.errors import Invalid
from tracking.queries import artifact_scope, run_artifact_uri


def put_artifact(
    *, actor: Actor, path: str, stream: Source, expected_bytes: int | None, expected_digest: str | None = None
) -> FileInfo:
    """Store a file where the actor may write. Raises NotFound, Denied, Invalid, and Conflict where a version froze the tree."""
    path = paths.safe_file(path)
    scope = artifact_scope(actor, path, write=True)
    return artifact_commands.put_file(
        actor=actor, path=path, stream=stream, expected_bytes=expected_bytes, expected_digest=expected_digest, scope=scope
    )


def delete_artifacts(*, actor: Actor, path: str) -> int:
    """Remove a file or folder where the actor may write, and return how many files went. Raises as ``put_artifact``."""
    path = paths.safe(path)
    return artifact_commands.delete_tree(actor=actor, path=path, scope=artifact_scope(actor, path, write=True))


def put_run_artifact(*, actor: Actor, run_id: str, path: str, stream: Source, expected_bytes: int | None) -> FileInfo:
    """Store a file among the artifacts of a run. Raises as ``put_artifact``."""
    root = paths.path_of(run_artifact_uri(actor, run_id))
    if root is None:
        raise Invalid("This run keeps its artifacts on another server.")
    return put_artifact(actor=actor, path=paths.join(root, paths.safe_file(path)), stream=stream, expected_bytes=expected_bytes)
