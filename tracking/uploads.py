"""Uploads in parts, for who may write where the file goes."""

from __future__ import annotations

from collections.abc import Sequence

from artifacts import paths, uploads
from artifacts.queries import FileInfo
from artifacts.uploads import Begun
from core.access import Actor
from tracking.queries import artifact_scope


def begin_upload(*, actor: Actor, path: str, parts: int) -> Begun:
    """Let a file come in parts where the actor may write. Raises NotFound, Denied, Invalid."""
    path = paths.safe_file(path)
    artifact_scope(actor, path, write=True)
    return uploads.begin(path=path, parts=parts)


def complete_upload(*, actor: Actor, path: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> FileInfo:
    """Join the parts where the actor may write. Raises NotFound, Denied, Invalid, and Conflict where a version froze the tree."""
    path = paths.safe_file(path)
    scope = artifact_scope(actor, path, write=True)
    return uploads.complete(actor=actor, path=path, upload_id=upload_id, parts=parts, scope=scope)


def abort_upload(*, actor: Actor, path: str, upload_id: str) -> None:
    """Give an upload up where the actor may write. Raises NotFound, Denied, Invalid."""
    path = paths.safe_file(path)
    artifact_scope(actor, path, write=True)
    uploads.abort(path=path, upload_id=upload_id)
