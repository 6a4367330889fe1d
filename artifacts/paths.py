"""Which paths are safe to have, and how addresses name them. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from core.errors import Invalid

SCHEME = "mlflow-artifacts"
MAX_FOLDER, MAX_NAME = 1500, 500

# Schemes whose address names a host. We keep no list of trusted ones, so none is: whoever follows the address would be sent there.
NAMES_A_HOST = frozenset({"ftp", "sftp", "hdfs", "viewfs", "http", "https", "r2", "b2", "abfss"})

_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ROUNDS = 10


def safe(path: str) -> str:
    """Return the path without empty and ``.`` segments; "" is the root.

    It is decoded until it no longer changes, and each reading must be harmless. Raises Invalid for ``..`` segments, absolute
    POSIX and Windows paths, ``file:`` addresses, ``#``, control characters, and what is too long.
    """
    reading = path
    for _ in range(_ROUNDS):
        _refuse(reading)
        decoded = unquote(reading)
        if decoded == reading:
            break
        reading = decoded
    else:
        raise Invalid("The path is encoded too many times over.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    clean = "/".join(parts)
    if parts and (len(parts[-1]) > MAX_NAME or len(clean) > MAX_FOLDER):
        raise Invalid(f"The path is too long: at most {MAX_FOLDER} characters, {MAX_NAME} of them in the last name.")
    return clean


def _refuse(path: str) -> None:
    slashed = path.replace("\\", "/")
    if (
        slashed.startswith("/")
        or _DRIVE.match(path)
        or ".." in slashed.split("/")
        or path.lower().startswith("file:")
        or "#" in path
        or _CONTROL.search(path)
    ):
        raise Invalid(f"{path[:200]!r} is not a safe path: give a relative one without `..`, `#` and control characters.")


def safe_file(path: str) -> str:
    """Return the safe path of a file. Raises Invalid for a path that ends in a slash, names nothing or has ``.`` segments."""
    if path.endswith("/") or "." in path.split("/") or not (clean := safe(path)):
        raise Invalid("The path must name a file, not a folder, and have no `.` segments.")
    return clean


def split(path: str) -> tuple[str, str]:
    """Return folder and name of a path; the folder of a name at the root is ""."""
    folder, _, name = path.rpartition("/")
    return folder, name


def join(*parts: str) -> str:
    """Return the parts as one path, without the empty ones."""
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def with_ancestors(path: str) -> list[str]:
    """Return the path and all folders above it, longest first, without the root."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def is_within(path: str, folder: str) -> bool:
    """Return whether the path is this folder or lies below it."""
    return not folder or path == folder or path.startswith(folder + "/")


def uri(path: str) -> str:
    """Return the address under which the client finds a path on this server."""
    return f"{SCHEME}:/{path}"


def path_of(address: str) -> str | None:
    """Return the path an address of this server names; None if it lies elsewhere. Raises Invalid for an unsafe one."""
    parts = urlsplit(address)
    if parts.scheme != SCHEME or parts.netloc:
        return None
    return safe(address.partition(":")[2].lstrip("/"))
