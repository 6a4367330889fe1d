"""Read artifacts where an MLflow server keeps them: behind itself, on a disk, or in a bucket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

from core.errors import DomainError, Invalid
from interfaces.moving.http import Http

_PROXY = "/api/2.0/mlflow-artifacts/artifacts"
BLOCK = 1024 * 1024


class Unreachable(Exception):
    """Artifacts cannot be had; the message says why."""


@dataclass(frozen=True)
class FileThere:
    """A file by its path below a location. mark: what else tells cheaply that it changed."""

    path: str
    size_bytes: int
    mark: str = ""


class Folder(Protocol):
    """What lies below one location."""

    def files(self) -> list[FileThere]:
        """Return all files, by path; none if the folder is not there. Raises Unreachable."""

    def open(self, path: str) -> BinaryIO:
        """Return a file to read. Raises Unreachable."""


class Artifacts:
    """All artifacts of a server. root: where they are, if not where their locations say."""

    def __init__(self, *, http: Http | None = None, root: str = "") -> None:
        """Keep what is needed to reach them."""
        self._http, self._root = http, root.rstrip("/")

    def folder(self, location: str) -> Folder:
        """Return the folder at a location. Raises Unreachable for a scheme that is not read here."""
        parts = urlsplit(location)
        if parts.scheme == "mlflow-artifacts":
            if self._root:
                return self._at(f"{self._root}/{parts.path.strip('/')}")
            if self._http is not None:
                return _Behind(self._http, parts.path.strip("/"))
            raise Unreachable("it lies behind the source's server; name its artifact root with --artifacts")
        if self._root and (found := self._elsewhere(parts.path)):
            return found
        return self._at(location)

    def reaches(self, location: str) -> bool:
        """Return whether a location is of a kind that can be read at all."""
        try:
            self.folder(location)
        except Unreachable:
            return False
        return True

    def _elsewhere(self, path: str) -> Folder | None:
        """Return what is left of a path below the root given, the longest rest first, since the root may have moved."""
        if "://" in self._root:
            numbered = [i for i, step in enumerate(path.split("/")) if step.isdigit()]
            return self._at(f"{self._root}/{'/'.join(path.split('/')[numbered[-1] :])}") if numbered else None
        steps = [step for step in path.split("/") if step]
        for start in range(len(steps)):
            candidate = Path(self._root, *steps[start:])
            # What is left must at least tell which run or model it is.
            if len(steps) - start >= 2 and candidate.is_dir():
                return _OnDisk(candidate)
        return None

    def _at(self, location: str) -> Folder:
        parts = urlsplit(location)
        if parts.scheme in ("", "file"):
            return _OnDisk(Path(unquote(parts.path) if parts.scheme else location))
        if parts.scheme in ("s3", "s3a"):
            return _InBucket(parts.netloc, parts.path.strip("/"))
        raise Unreachable(f"it lies at {parts.scheme}:, which is not read here")


def digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of a stream, 64 hex digits, and close it."""
    seen = hashlib.sha256()
    with closing(stream):
        while block := stream.read(BLOCK):
            seen.update(block)
    return seen.hexdigest()


class _OnDisk:
    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self) -> list[FileThere]:
        if not self._root.exists():
            return []
        if not os.access(self._root, os.R_OK | os.X_OK):
            raise Unreachable(f"{self._root} may not be read")
        found = []
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(self._root).as_posix()
                try:
                    state = path.lstat()
                except OSError as error:
                    raise Unreachable(f"{path}: {error.strerror}") from None
                found.append(FileThere(relative, state.st_size, str(state.st_mtime_ns)))
        return sorted(found, key=lambda file: file.path)

    def open(self, path: str) -> BinaryIO:
        target = self._root / path
        if not target.resolve().is_relative_to(self._root.resolve()):
            raise Unreachable("it is a link out of its folder")
        try:
            return target.open("rb")
        except OSError as error:
            raise Unreachable(str(error.strerror)) from None


class _Behind:
    """Artifacts that the server hands on."""

    def __init__(self, http: Http, path: str) -> None:
        self._http, self._path = http, path

    def files(self) -> list[FileThere]:
        return sorted(self._below(""), key=lambda file: file.path)

    def _below(self, folder: str) -> Iterator[FileThere]:
        at = "/".join(filter(None, (self._path, folder)))
        try:
            said = self._http.get(_PROXY, {"path": at})
        except DomainError as error:
            raise Unreachable(error.message) from None
        for row in said.get("files", []):
            path = "/".join(filter(None, (folder, str(row["path"]).rpartition("/")[2])))
            if row.get("is_dir"):
                yield from self._below(path)
            else:
                yield FileThere(path, int(row.get("file_size") or 0))

    def open(self, path: str) -> BinaryIO:
        try:
            return cast(BinaryIO, self._http.open(f"{_PROXY}/{self._path}/{path}"))
        except DomainError as error:
            raise Unreachable(error.message) from None
        except OSError as error:
            raise Unreachable(str(error)) from None


class _InBucket:
    def __init__(self, bucket: str, prefix: str) -> None:
        try:
            import boto3  # an optional extra: only who has artifacts in a bucket needs it
        except ImportError:
            raise Unreachable("it lies in a bucket, and the extra `s3` is not installed") from None
        self._client: Any = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None)
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""

    def files(self) -> list[FileThere]:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            found = [
                FileThere(row["Key"][len(self._prefix) :], row["Size"], row["ETag"])
                for page in pages
                for row in page.get("Contents", [])
                if not row["Key"].endswith("/")
            ]
        except self._faults() as error:
            raise Unreachable(str(error)) from None
        return sorted(found, key=lambda file: file.path)

    def open(self, path: str) -> BinaryIO:
        try:
            return cast(BinaryIO, self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"])
        except self._faults() as error:
            raise Unreachable(str(error)) from None

    def _faults(self) -> tuple[type[Exception], ...]:
        from botocore.exceptions import BotoCoreError, ClientError

        return BotoCoreError, ClientError


def check_root(root: str) -> None:
    """Return if a root given can be one. Raises Invalid."""
    parts = urlsplit(root)
    if parts.scheme not in ("", "file", "s3", "s3a"):
        raise Invalid("--artifacts names a folder or s3://bucket/prefix.")
    if parts.scheme in ("", "file") and not Path(parts.path).is_dir():
        raise Invalid(f"--artifacts: there is no folder {parts.path}.")
