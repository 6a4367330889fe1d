"""What a version is made of: every file of its folder with its digest, and what the MLmodel file among them says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from artifacts import commands as artifacts
from artifacts.queries import ManifestLine
from artifacts.store import store
from core import canonical, foreign_yaml
from core.sql import Statement

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
MAX_MLMODEL_BYTES = 1024 * 1024
_DEEPEST = 50


@dataclass(frozen=True)
class Manifest:
    """All files of a folder, by path. ``digest`` is empty for none: there is nothing that could be decided on."""

    files: list[ManifestLine] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The one digest of the whole content, whatever order the files came in."""
        if not self.files:
            return ""
        return canonical.digest({"files": [{"path": f.path, "sha256": f.digest, "size_bytes": f.size_bytes} for f in self.files]})

    @property
    def size_bytes(self) -> int:
        """The sizes of all files together."""
        return sum(f.size_bytes for f in self.files)

    def find(self, path: str) -> ManifestLine | None:
        """Return the file at a path below the root, or None."""
        return next((f for f in self.files if f.path == path), None)


def frozen_later(folder: str | None, holder: str) -> tuple[Manifest, list[Statement]]:
    """Return the manifest of a folder whose ``artifacts.freezing_lock`` is held, and the statements that freeze it for its holder."""
    files, freezing = artifacts.frozen_later(folder, holder) if folder else ([], [])
    return Manifest(files), freezing


def frozen(folder: str | None, holder: str) -> Manifest:
    """Return the manifest of a folder of the artifact tree, frozen for its holder; an empty one without a folder or files in it."""
    return Manifest(artifacts.freeze(folder, holder)) if folder else Manifest()


def mlmodel(manifest: Manifest) -> dict[str, Any]:
    """Return what the MLmodel file says, as JSON values; ``{}`` without one.

    A file that cannot be read does not stop a registration, since MLflow takes any folder; ``unreadable`` then says why, and
    what needs a flavour or a signature finds none.
    """
    present = manifest.find(MLMODEL)
    if present is None:
        return {}
    if present.size_bytes > MAX_MLMODEL_BYTES:
        return {"unreadable": f"the file is longer than {MAX_MLMODEL_BYTES} bytes"}
    try:
        with store().open(present.digest) as file:
            return parse(file.read())
    except ValueError as error:
        return {"unreadable": str(error)}


def parse(text: bytes) -> dict[str, Any]:
    """Return a YAML mapping as JSON values. Raises ValueError, saying why, for anything else."""
    try:
        value = foreign_yaml.load(text.decode())
    except ValueError as error:  # also of bytes that are no text, and of dates that are none
        raise ValueError(f"the file is no YAML that can be read: {str(error)[:300]}") from None
    if not isinstance(value, dict):
        raise ValueError("the file is no YAML mapping")
    return dict(_plain(value))


def _plain(value: Any, depth: int = 0) -> Any:
    """Make JSON values of YAML's."""
    if depth > _DEEPEST:
        raise ValueError("the file is nested too deeply")
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")  # which PostgreSQL cannot store
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
