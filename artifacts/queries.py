"""What lies in the artifact tree. Who may see it is known to the experiments and models above, which ask before they call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from artifacts import paths
from artifacts.store import store
from core import sql
from core.errors import NotFound


@dataclass(frozen=True)
class Entry:
    """A file or folder of a listing, by its own name."""

    name: str
    is_folder: bool
    size_bytes: int | None = None


@dataclass(frozen=True)
class FileInfo:
    """A file of the tree and the content it has now."""

    path: str
    digest: str
    size_bytes: int

    def open(self, start: int = 0) -> BinaryIO:
        """Return the content to read, from this byte on."""
        return store().open(self.digest, start)


@dataclass(frozen=True)
class ManifestLine:
    """A file below a folder, by its path relative to the folder."""

    path: str
    digest: str
    size_bytes: int


def file_at(path: str) -> FileInfo:
    """Return the file at a safe path. Raises NotFound, also for a folder."""
    folder, name = paths.split(path)
    row = sql.fetch_one(
        "SELECT b.digest, b.size_bytes FROM artifacts_artifactfile f JOIN artifacts_blob b ON b.digest = f.blob_id"
        " WHERE f.folder = %s AND f.name = %s",
        [folder, name],
    )
    if row is None:
        raise NotFound(f"There is no artifact at {path!r}.")
    return FileInfo(path, row[0], row[1])


def content(digest: str, name: str) -> FileInfo:
    """Return a content by its digest, to be read under this name. Raises NotFound."""
    row = sql.fetch_one("SELECT size_bytes FROM artifacts_blob WHERE digest = %s", [digest])
    if row is None:
        raise NotFound(f"The content sha256:{digest} is not here any more.")
    return FileInfo(name, digest, row[0])


def is_folder(path: str) -> bool:
    """Return whether any file lies below the path."""
    condition, parameters = below("folder", path)
    return sql.fetch_one(f"SELECT 1 FROM artifacts_artifactfile WHERE {condition} LIMIT 1", parameters) is not None


def list_folder(path: str) -> list[Entry]:
    """Return what stands directly in a folder, by name; nothing if it is a file or not there."""
    start = len(path) + 2 if path else 1
    rest = f"substr(folder, {start:d})"
    at = "strpos" if sql.is_postgresql() else "instr"
    child = f"CASE WHEN {at}({rest}, '/') > 0 THEN substr({rest}, 1, {at}({rest}, '/') - 1) ELSE {rest} END"
    condition, parameters = strictly_below("folder", path)
    rows = sql.fetch(
        "SELECT f.name, b.size_bytes FROM artifacts_artifactfile f JOIN artifacts_blob b ON b.digest = f.blob_id WHERE f.folder = %s"
        f" UNION ALL SELECT DISTINCT {child}, CAST(NULL AS bigint) FROM artifacts_artifactfile WHERE {condition}",
        [path, *parameters],
    )
    return sorted((Entry(name, size is None, size) for name, size in rows), key=lambda entry: entry.name)


def manifest(folder: str) -> list[ManifestLine]:
    """Return every file below a folder, by path."""
    condition, parameters = below("f.folder", folder)
    rows = sql.fetch(
        "SELECT f.folder, f.name, b.digest, b.size_bytes FROM artifacts_artifactfile f"
        f" JOIN artifacts_blob b ON b.digest = f.blob_id WHERE {condition}",
        parameters,
    )
    skip = len(folder) + 1 if folder else 0
    return sorted(
        (ManifestLine(paths.join(held, name)[skip:], digest, size) for held, name, digest, size in rows),
        key=lambda line: line.path,
    )


def below(column: str, path: str) -> tuple[str, list[Any]]:
    """Return the condition that a column is this folder or one below it."""
    condition, parameters = strictly_below(column, path)
    return f"({column} = %s OR {condition})", [path, *parameters]


def strictly_below(column: str, path: str) -> tuple[str, list[Any]]:
    """Return the condition that a column is a folder below this one.

    A range in byte order, in which ``0`` follows ``/``: unlike LIKE, it needs no escaping and can use an index.
    """
    if not path:
        return f"{column} <> %s", [""]
    if sql.is_postgresql():
        return f"({column} ~>=~ %s AND {column} ~<~ %s)", [path + "/", path + "0"]
    return f"({column} >= %s AND {column} < %s)", [path + "/", path + "0"]
