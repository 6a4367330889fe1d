"""Change the artifact tree. Who may is known to the experiments above, which ask before they call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import ForeignObjectRel
from django.utils import timezone

from artifacts import paths
from artifacts.models import Blob, FrozenTree, Removal, Upload
from artifacts.queries import FileInfo, ManifestLine, below, manifest, strictly_below
from artifacts.store import Received, Source, store
from core import audit, sql
from core.access import Actor
from core.audit import Event
from core.errors import Conflict, Invalid
from core.sql import Statement


def put_file(
    *, actor: Actor, path: str, stream: Source, expected_bytes: int | None, expected_digest: str | None = None, scope: str = ""
) -> FileInfo:
    """Store a stream as the file at a path, replacing what was there. The same content again changes nothing.

    expected_bytes, expected_digest: length and SHA-256 (hex) announced, None if they were not. The bytes are received before the transaction begins: a slow
    upload holds no lock. Raises Invalid for an unsafe path or a body cut off, Conflict for a path that is frozen.
    """
    path = paths.safe_file(path)
    with store().receive(stream, expected_bytes) as received:
        if expected_digest not in (None, received.digest):
            raise Invalid("The upload does not have the digest announced; nothing was kept.", code="cut_off")
        if not _is_there(path, received.digest):
            with kept(received):
                _place(actor=actor, path=path, received=received, scope=scope)
        return FileInfo(path, received.digest, received.size_bytes)


@transaction.atomic
def _place(*, actor: Actor, path: str, received: Received, scope: str) -> None:
    _lock(path, exclusive=False)
    if _is_there(path, received.digest):  # looks again, now that nobody can freeze the tree meanwhile
        return
    folder, name = paths.split(path)
    note_content(received)
    sql.run(
        "INSERT INTO artifacts_artifactfile (folder, name, blob_id, updated_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (folder, name) DO UPDATE SET blob_id = excluded.blob_id, updated_at = excluded.updated_at",
        [folder, name, received.digest, timezone.now()],
    )
    _record(
        actor,
        Event.ARTIFACT_STORED,
        path,
        scope,
        after={"digest": f"sha256:{received.digest}", "size_bytes": received.size_bytes},
    )


@contextmanager
def kept(received: Received) -> Iterator[None]:
    """Store content for the transaction within. If that fails, the content is removed later, unless something names it by then."""
    store().keep(received)
    try:
        yield
    except BaseException:
        _note_removal(received.digest)
        raise


def note_content(received: Received) -> None:
    """Give content that was kept its row, in the transaction of what will name it; from then on nobody can collect it.

    Whoever names content calls this first: it waits for a collection that is removing the content just now.
    """
    sql.run(
        "INSERT INTO artifacts_blob (digest, size_bytes, created_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (digest) DO UPDATE SET size_bytes = excluded.size_bytes",
        [received.digest, received.size_bytes, timezone.now()],
    )
    if not store().holds(received.digest):  # collected between keep and here; the row is ours now
        store().keep(received)


@transaction.atomic
def delete_tree(*, actor: Actor, path: str, scope: str = "") -> int:
    """Remove a file, or a folder with all below it, from the tree; return how many files went.

    Raises Invalid for an unsafe path or the root, Conflict if a registered version relies on any of it.
    """
    path = paths.safe(path)
    if not path:
        raise Invalid("The whole tree cannot be deleted.")
    _lock(path, exclusive=True)
    condition, parameters = strictly_below("path", path)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT path FROM artifacts_frozentree WHERE {condition} OR path IN ({sql.marks(paths.with_ancestors(path))}) LIMIT 1",
            [*parameters, *paths.with_ancestors(path)],
        )
        if held := cursor.fetchone():
            raise _frozen(held[0])
        folder, name = paths.split(path)
        condition, parameters = below("folder", path)
        cursor.execute(
            f"DELETE FROM artifacts_artifactfile WHERE (folder = %s AND name = %s) OR {condition}", [folder, name, *parameters]
        )
        gone: int = cursor.rowcount
    if gone:
        _record(actor, Event.ARTIFACT_DELETED, path, scope, before={"files": gone})
    return gone


def freeze(path: str, holder: str) -> list[ManifestLine]:
    """Let nothing below a folder change as long as this holder, such as ``model-version:17``, relies on it; return what is there.

    A folder without files stays free to be filled. Call it in the transaction that makes the holder.
    """
    path = paths.safe(path)
    _lock(path, exclusive=True)
    files, freezing = frozen_later(path, holder)
    for statement in freezing:
        sql.run(*statement)
    return files


def frozen_later(path: str, holder: str) -> tuple[list[ManifestLine], list[Statement]]:
    """Return what is in a folder and the statements that freeze it, for who has more to write with them and holds ``freezing_lock``."""
    path = paths.safe(path)
    files = manifest(path)
    noted = (
        "INSERT INTO artifacts_frozentree (path, holder, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [path, holder, timezone.now()],
    )
    return files, [noted] if files else []


def freezing_lock(path: str) -> Statement | None:
    """Return the expressions, to be selected by an earlier statement of the transaction, that keep a folder as it is until its end.

    None where the engine needs none. A folder must be read after that: a statement does not see what it waited for.
    """
    return _lock_expressions(paths.safe(path), exclusive=True)


def unfreeze(holder: str) -> None:
    """Release every folder this holder relied on."""
    FrozenTree.objects.filter(holder=holder).delete()


def collect_unreferenced(*, older_than: timedelta) -> int:
    """Remove contents that nothing has named for so long, and what is left of cut-off and forgotten uploads; return how many.

    Files of the tree name contents, and so do rows of the packages above, such as versions of data sets. What a collection that
    was killed had left is removed too.
    """
    gone = store().collect_abandoned(older_than)
    Upload.objects.filter(created_at__lt=timezone.now() - older_than).delete()  # its parts have no name then
    old = Blob.objects.filter(files__isnull=True, created_at__lt=timezone.now() - older_than).values_list("digest", flat=True)
    for digest in list(old):
        _forget(digest)
    return gone + sum(_remove(digest) for digest in list(Removal.objects.values_list("digest", flat=True)))


def collect(digests: Iterable[str]) -> int:
    """Remove those of these contents that nothing names; return how many.

    Of any age: for contents that nobody else can be about to name.
    """
    return sum(_forget(digest) and _remove(digest) for digest in digests)


@transaction.atomic(durable=True)
def _forget(digest: str) -> bool:
    """Take the row of a content that nothing names, and note that the content is to be removed; return whether there was one."""
    if sql.is_postgresql():
        # Waits for whoever is about to name it, and lets the next statement see that they did.
        sql.fetch("SELECT 1 FROM artifacts_blob WHERE digest = %s FOR UPDATE", [digest])
    if not sql.run(f"DELETE FROM artifacts_blob WHERE digest = %s AND NOT ({_named()})", [digest]):
        return False
    _note_removal(digest)
    return True


def _note_removal(digest: str) -> None:
    sql.run("INSERT INTO artifacts_removal (digest) VALUES (%s) ON CONFLICT DO NOTHING", [digest])


@transaction.atomic(durable=True)
def _remove(digest: str) -> bool:
    """Remove a content that has no row from the store; return whether it had none.

    Its row is inserted and taken back: who would name the content (``note_content``) waits for that, and looks into the store after it.
    """
    free = sql.run(
        "INSERT INTO artifacts_blob (digest, size_bytes, created_at) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING",
        [digest, timezone.now()],
    )
    if free:
        store().remove(digest)
        sql.run("DELETE FROM artifacts_blob WHERE digest = %s", [digest])
    sql.run("DELETE FROM artifacts_removal WHERE digest = %s", [digest])
    return bool(free)


def _named() -> str:
    """Return the condition that some row names a content, whichever package the row belongs to."""
    relations = Blob._meta.get_fields(include_hidden=True)
    fields = [relation.field for relation in relations if isinstance(relation, ForeignObjectRel)]
    return " OR ".join(
        f"EXISTS (SELECT 1 FROM {field.model._meta.db_table} r WHERE r.{field.column} = artifacts_blob.digest)"
        for field in fields
    )


def _is_there(path: str, digest: str) -> bool:
    """Return whether the path has this content already. Raises Conflict or Invalid if it may not get it."""
    folder, name = paths.split(path)
    above = paths.with_ancestors(path)
    files_above = [paths.split(step) for step in above[1:]]
    condition, parameters = below("folder", path)
    clash = " OR ".join(["(folder = %s AND name = %s)"] * len(files_above)) or "FALSE"
    ((held, frozen, is_folder, below_file),) = sql.fetch(
        f"""SELECT (SELECT blob_id FROM artifacts_artifactfile WHERE folder = %s AND name = %s),
              (SELECT path FROM artifacts_frozentree WHERE path IN ({sql.marks(above)}) LIMIT 1),
              EXISTS (SELECT 1 FROM artifacts_artifactfile WHERE {condition}),
              EXISTS (SELECT 1 FROM artifacts_artifactfile WHERE {clash})""",
        [folder, name, *above, *parameters, *(part for step in files_above for part in step)],
    )
    if held == digest:
        return True
    if frozen is not None:
        raise _frozen(frozen)
    if is_folder:
        raise Invalid(f"{path!r} is a folder.")
    if below_file:
        raise Invalid(f"{path!r} lies below a file.")
    return False


def _frozen(path: str) -> Conflict:
    return Conflict(
        f"The files below {path!r} belong to a registered model version and can no longer change. Log the new content to"
        " another folder or run and register that as a new version.",
        code="frozen",
        path=path,
    )


def _lock(path: str, *, exclusive: bool) -> None:
    """Keep freezing and deleting apart from uploads to the same folder, until the end of the transaction.

    A path's lock is that of its first two segments, which are experiment and run in most of the tree, so that versions made of
    different runs do not wait for each other. Beside it goes a shared one of the first, which deleting all of that takes alone.
    SQLite has one writer at a time anyway.
    """
    if (wanted := _lock_expressions(path, exclusive=exclusive)) is not None:
        expressions, parameters = wanted
        sql.fetch(f"SELECT {expressions}", parameters)


def _lock_expressions(path: str, *, exclusive: bool) -> Statement | None:
    if not sql.is_postgresql():
        return None
    top, *below_top = path.split("/")[:2]
    kind = "" if exclusive else "_shared"
    if below_top:
        keys = [_key(top), _key(f"{top}/{below_top[0]}")]
        return f"pg_advisory_xact_lock_shared(%s), pg_advisory_xact_lock{kind}(%s)", keys
    return f"pg_advisory_xact_lock{kind}(%s)", [_key(top)]


def _key(folder: str) -> int:
    return int.from_bytes(hashlib.sha256(folder.encode()).digest()[:8], "big", signed=True)


def _record(actor: Actor, event: Event, path: str, scope: str, **change: Any) -> None:
    subject = path if len(path) <= 300 else "sha256:" + hashlib.sha256(path.encode()).hexdigest()
    audit.record(actor, event, subject=("artifact", subject), scope=scope, path=path, **change)
