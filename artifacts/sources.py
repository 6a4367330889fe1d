"""Files that lie on the server or in a bucket already, read from where an operator lets them be read from and from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, cast

from artifacts.store import Source
from core.errors import Invalid, NotFound

_S3 = "s3://"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def open_source(address: str, allowed: Sequence[str], endpoint: str = "") -> Iterator[Source]:
    """Yield what stands at ``s3://bucket/key`` or at an absolute path (``file://`` before it or not), to be read in blocks.

    allowed: folders and ``s3://bucket/prefix`` that it must lie below; endpoint: that of an S3-compatible store, empty for AWS.
    Raises Invalid for an address outside of them, one that leaves them by ``..`` or a link, or what is no file; NotFound.
    """
    if address.startswith(_S3):
        bucket, key = _below_prefix(address, allowed)
        with _object(bucket, key, address, endpoint) as body:
            yield body
        return
    root, steps = _below_folder(address.removeprefix("file://"), allowed)
    with _file(root, steps, address) as file:
        yield file


def _below_prefix(address: str, allowed: Sequence[str]) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(_S3).partition("/")
    for each in allowed:
        if each.startswith(_S3):
            own, _, prefix = each.removeprefix(_S3).partition("/")
            prefix = prefix.strip("/")
            steps = key.split("/")  # some stores keep objects as files, to which these mean something
            if own == bucket and key and (not prefix or key.startswith(f"{prefix}/")) and not {".", ".."}.intersection(steps):
                return bucket, key
    raise _outside(address, allowed)


def _below_folder(path: str, allowed: Sequence[str]) -> tuple[str, list[str]]:
    for each in allowed:
        root = each.removeprefix("file://").rstrip("/")
        if root.startswith("/") and path.startswith(f"{root}/"):
            steps = path.removeprefix(f"{root}/").split("/")
            if all(step not in ("", ".", "..") and "\0" not in step for step in steps):
                return root, steps
    raise _outside(path, allowed)


def _outside(address: str, allowed: Sequence[str]) -> Invalid:
    if not allowed:
        return Invalid("This server reads data sets from uploads alone; an operator names other places in DATASET_SOURCES.")
    return Invalid(f"{address!r} is not below {' or '.join(allowed)}, and this server reads from nowhere else.")


@contextmanager
def _file(root: str, steps: list[str], address: str) -> Iterator[BinaryIO]:
    """Open a file from folder to folder, so that no link on the way leads elsewhere, also not one that is put there meanwhile."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for step in steps[:-1]:
                inner = os.open(step, _READ | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Without waiting: a pipe would hold the server until somebody writes into it.
            handle = os.open(steps[-1], _READ | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
    except FileNotFoundError:
        raise NotFound(f"There is no file {address!r}.") from None
    except OSError as error:
        # ELOOP or ENOTDIR for a link, depending on where it stands.
        raise Invalid(f"{address!r} cannot be read: {error.strerror}. Links are not followed.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Invalid(f"{address!r} is no file.")
    with os.fdopen(handle, "rb", buffering=0) as file:
        yield cast(BinaryIO, file)


class _Body:
    """An object's stream, which breaks like a file's."""

    def __init__(self, body: Any, broken: type[Exception]) -> None:
        self._body, self._broken = body, broken

    def read(self, size: int, /) -> bytes:
        try:
            return bytes(self._body.read(size))
        except self._broken as error:
            raise OSError(str(error)) from error


@contextmanager
def _object(bucket: str, key: str, address: str, endpoint: str) -> Iterator[Source]:
    try:
        import boto3  # an optional extra: only servers that read from buckets have it
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise Invalid("This server has no client for S3; an operator installs the extra `s3`.") from None
    try:
        body = boto3.client("s3", endpoint_url=endpoint or None).get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise NotFound(f"There is no object {address!r}.") from None
        said = error.response["Error"]
        raise Invalid(f"{address!r} cannot be read: the store says {said.get('Code')}: {said.get('Message')}.") from None
    except BotoCoreError as error:
        raise Invalid(f"{address!r} cannot be read: {error}") from None
    with closing(body):
        yield _Body(body, BotoCoreError)
