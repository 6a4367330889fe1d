"""Files of runs and logged models: streamed in both directions, never held in memory whole."""

from __future__ import annotations

import base64
import mimetypes
import re
import unicodedata
from datetime import timedelta
from typing import Any, BinaryIO
from urllib.parse import quote

from django.core import signing
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

from artifacts import paths
from artifacts import queries as tree
from artifacts.queries import FileInfo
from artifacts.store import BLOCK
from core.access import Actor
from core.errors import Denied, DomainError, Invalid, NotFound
from interfaces.mlflow.messages import Message, present
from interfaces.mlflow.routing import Route
from interfaces.mlflow.run_views import RunId, run_id_of
from registry import queries as registry
from tracking import queries
from tracking.commands import files as commands

UPLOAD_LIMIT = 10 * 1024 * 1024  # of the pages' own upload, as on the reference server

_TEXT = frozenset(
    [
        "txt",
        "log",
        "err",
        "cfg",
        "conf",
        "cnf",
        "properties",
        "ini",
        "yaml",
        "yml",
        "json",
        "md",
        "py",
        "js",
        "ts",
        "sh",
        "csv",
        "tsv",
        "xml",
        "html",
        "htm",
        "css",
        "toml",
        "lock",
        "patch",
        "diff",
        "sql",
        "r",
        "gitignore",
        "mlmodel",
        "mlproject",
    ]
)
_RUNS = re.compile("script|html|xml")
TICKET = "X-Download-Ticket"
TICKET_HOLDS = timedelta(hours=1)
_signer = signing.TimestampSigner(salt="mlflow.contents")

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")  # RFC 9530
_ATTRIBUTE = "!#$&+-.^_`|~"  # what an extended value may hold beside letters and digits (RFC 8187)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110
_RANGE = re.compile(r"bytes=(\d{0,99})-(\d{0,99})\Z", re.ASCII)


class ListArtifacts(Message, frozen=True):
    path: str | None = None


class ListRunArtifacts(RunId, frozen=True):
    path: str | None = None
    page_token: str | None = None


class ListModelArtifacts(Message, frozen=True):
    artifact_directory_path: str | None = None
    page_token: str | None = None


def put(actor: Actor, request: HttpRequest, path: str) -> HttpResponse:
    """Store the body as a file.

    The server cannot tell the end of a chunked body from a connection that broke; a client that sends one can announce its
    digest (RFC 9530) to be sure.
    """
    source, length = body_source(request)
    commands.put_artifact(
        actor=actor, path=path, stream=source, expected_bytes=length, expected_digest=_announced_digest(request)
    )
    return HttpResponse()


def get(actor: Actor, request: HttpRequest, path: str) -> HttpResponseBase:
    """Send a file, or the range of it that was asked for."""
    clean = paths.safe(path)
    _require_readable(actor, clean)
    return send(request, _file(clean))


def list_files(actor: Actor, message: ListArtifacts) -> dict[str, Any]:
    """List a folder by base names. At the root only what the actor may read is named."""
    clean = paths.safe(message.path or "")
    if clean:
        try:
            _require_readable(actor, clean)
        except NotFound:
            return {}  # as for a folder that is not there
        entries = tree.list_folder(clean)
    else:
        entries = [entry for entry in tree.list_folder("") if _is_readable(actor, entry.name)]
    return present(files=[_entry(entry, entry.name) for entry in entries])


def delete(actor: Actor, request: HttpRequest, path: str) -> dict[str, Any]:
    """Remove a file or folder; what is not there is no fault."""
    commands.delete_artifacts(actor=actor, path=path)
    return {}


def list_run_files(actor: Actor, message: ListRunArtifacts) -> dict[str, Any]:
    """List a folder of a run by paths relative to the run's root."""
    return _listing(queries.run_artifact_uri(actor, run_id_of(message)), message.path)


def list_model_files(actor: Actor, message: ListModelArtifacts, model_id: str) -> dict[str, Any]:
    """List a folder of a logged model by paths relative to its root."""
    return _listing(queries.logged_model(actor, model_id).artifact_uri, message.artifact_directory_path)


def get_run_file(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """Send a file of a run."""
    run_id = request.GET.get("run_id") or request.GET.get("run_uuid") or ""
    if "path" not in request.GET:
        raise Invalid("Give 'run_id' and 'path'.", code="BAD_REQUEST")
    relative = paths.safe_file(request.GET["path"])
    return send(request, _file(paths.join(_root(queries.run_artifact_uri(actor, run_id)), relative)))


def get_model_file(actor: Actor, request: HttpRequest, model_id: str) -> HttpResponseBase:
    """Send a file of a logged model."""
    if not request.GET.get("artifact_file_path"):
        raise Invalid("Give 'artifact_file_path'.", code="BAD_REQUEST")
    relative = paths.safe_file(request.GET["artifact_file_path"])
    return send(request, _file(paths.join(_root(queries.logged_model(actor, model_id).artifact_uri), relative)))


def upload_run_file(actor: Actor, request: HttpRequest) -> HttpResponse:
    """Store the body as a file of a run: not empty, and small."""
    run_id, path = request.GET.get("run_uuid") or "", request.GET.get("path") or ""
    if not run_id or not path:
        raise Invalid("Give 'run_uuid' and 'path'.")
    source, length = body_source(request, UPLOAD_LIMIT)
    if length == 0:
        raise Invalid("The body is empty.")
    commands.put_run_artifact(actor=actor, run_id=run_id, path=path, stream=source, expected_bytes=length)
    return HttpResponse(content_type="application/json")


def signed_address(actor: Actor, request: HttpRequest, path: str) -> dict[str, Any]:
    """Return where the content that a file has now can be read in ranges, for an hour and without signing in again."""
    clean = paths.safe_file(path)
    _require_readable(actor, clean)
    file = _file(clean)
    name = quote(paths.split(file.path)[1])
    address = request.build_absolute_uri(f"/api/2.0/mlflow-artifacts/contents/{file.digest}/{name}")
    return {"url": address, "headers": {TICKET: _signer.sign(file.digest)}, "file_size": file.size_bytes}


def get_content(actor: Actor | None, request: HttpRequest, digest: str, name: str) -> HttpResponseBase:
    """Send content, or a range of it, to who shows the ticket that its address was given out with."""
    try:
        right = _signer.unsign(request.headers.get(TICKET, ""), max_age=TICKET_HOLDS)
    except signing.BadSignature:
        right = ""
    if right != digest:
        raise Denied("This address gives a file's content to who was given it, within an hour.")
    return send(request, tree.content(digest, name))


def no_signed_address(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """Refuse to sign an address of a bucket: files are read and written through this server."""
    raise Invalid("No addresses of a bucket are signed here: artifacts are read and written through this server.")


class Body:
    """A request's body as a source of blocks that refuses to give more than a limit."""

    def __init__(self, stream: Any, limit: int | None) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes. Raises Invalid beyond the limit."""
        block: bytes = self._stream.read(size)
        if self._left is not None:
            self._left -= len(block)
            if self._left < 0:
                raise Invalid("The body is longer than allowed here.")
        return block


def body_source(request: HttpRequest, limit: int | None = None) -> tuple[Body, int | None]:
    """Return the body to be read in blocks, and its length unless it is chunked. Raises Invalid for one that is too long."""
    announced = request.META.get("CONTENT_LENGTH") or ""
    if announced.isdigit():
        if limit is not None and int(announced) > limit:
            raise Invalid(f"The body is longer than the {limit} bytes allowed here.")
        return Body(request, limit), int(announced)
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return Body(request.META["wsgi.input"], limit), None
    return Body(request, limit), 0


def send(request: HttpRequest, file: FileInfo) -> HttpResponseBase:
    """Return the answer that streams a file, or one range of it; never to be shown in a browser as a page of ours."""
    part = _range(request.META.get("HTTP_RANGE", ""), file.size_bytes)
    start, end = part or (0, file.size_bytes)
    name = paths.split(file.path)[1]
    headers = {
        "Content-Disposition": _disposition(name),
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.digest}"',
        "Content-Length": str(end - start),
    }
    if part is not None:
        if start >= end:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{file.size_bytes}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return HttpResponse(content_type=_content_type(name), headers=headers, status=status)
    opened = file.open(start)
    response = FileResponse(_Part(opened, end - start), content_type=_content_type(name), headers=headers, status=status)
    response.block_size = BLOCK
    return response


def _disposition(name: str) -> str:
    """Return the header that has a file of this name saved: as it is, or as near as ASCII comes, and then whole (RFC 6266)."""
    if name.isascii():
        return f"attachment; filename={_quoted(name)}"
    near = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "download"
    return f"attachment; filename={_quoted(near)}; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE)}"


def _quoted(text: str) -> str:
    return text if _TOKEN.match(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Part:
    """So many bytes of a file, to be read and closed."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""
        block = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _announced_digest(request: HttpRequest) -> str | None:
    found = _DIGEST.search(request.META.get("HTTP_CONTENT_DIGEST", ""))
    return base64.b64decode(found[1]).hex() if found else None


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None, for the whole file, if the header asks for several ranges or none."""
    found = _RANGE.match(header)
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many bytes
        return max(0, size - int(found[2])), size
    start = int(found[1])
    end = min(size, int(found[2]) + 1) if found[2] else size
    return min(start, size), max(end, min(start, size))


def _content_type(name: str) -> str:
    """Return text for what reads as text, else what the name tells, but nothing that a browser would run."""
    if name.rpartition(".")[2].lower() in _TEXT:
        return "text/plain"
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return "application/octet-stream" if _RUNS.search(guessed) else guessed


def _file(path: str) -> FileInfo:
    try:
        return tree.file_at(path)
    except NotFound:
        if tree.is_folder(path):
            raise Invalid(f"{path!r} is a folder; list it instead.") from None
        raise


def _require_readable(actor: Actor, path: str) -> None:
    """Return if the actor may read below a path by its experiment, or by a registered version that relies on it."""
    try:
        queries.artifact_scope(actor, path, write=False)
    except NotFound:
        if not registry.may_read_artifact(actor, path):
            raise


def _is_readable(actor: Actor, path: str) -> bool:
    try:
        _require_readable(actor, paths.safe(path))
    except DomainError:
        return False
    return True


def _root(uri: str) -> str:
    root = paths.path_of(uri)
    if root is None:
        raise Invalid(f"These artifacts are kept on another server, at {uri}; ask there.")
    return root


def _listing(uri: str, path: str | None) -> dict[str, Any]:
    below = paths.safe(path or "")
    entries = tree.list_folder(paths.join(_root(uri), below))
    return present(root_uri=uri, files=[_entry(entry, paths.join(below, entry.name)) for entry in entries])


def _entry(entry: tree.Entry, path: str) -> dict[str, Any]:
    return present(path=path, is_dir=entry.is_folder, file_size=entry.size_bytes or None)  # an empty file has none there


_FILES = "mlflow-artifacts/artifacts"

ROUTES: list[Route] = [
    Route("GET", _FILES, list_files, ListArtifacts),
    Route("PUT", f"{_FILES}/<path>", put, raw=True),
    Route("GET", f"{_FILES}/<path>", get, raw=True),
    Route("DELETE", f"{_FILES}/<path>", delete, raw=True),
    Route("GET", "mlflow-artifacts/presigned/<path>", signed_address, raw=True),
    Route("GET", "mlflow-artifacts/contents/{digest}/{name}", get_content, raw=True, signed_in=False),
    Route("POST", "mlflow/artifacts/presigned-upload-url", no_signed_address, raw=True),
    Route("POST", "mlflow/artifacts/presigned-download-url", no_signed_address, raw=True),
    Route("GET", "mlflow/artifacts/list", list_run_files, ListRunArtifacts),
    Route("GET", "mlflow/logged-models/{model_id}/artifacts/directories", list_model_files, ListModelArtifacts),
    Route("GET", "mlflow/logged-models/{model_id}/artifacts/files", get_model_file, raw=True, ajax_only=True),
    Route("GET", "/get-artifact", get_run_file, raw=True),
    Route("POST", "mlflow/upload-artifact", upload_run_file, raw=True, ajax_only=True),
]
