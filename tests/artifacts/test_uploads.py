"""Files in parts: joined as they were sent, on both kinds of store, by who holds the tickets."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from artifacts import commands, uploads
from artifacts import queries as tree
from artifacts.models import Blob, Upload
from artifacts.queries import FileInfo
from artifacts.store import BLOCK
from core.errors import Conflict, Denied, Invalid, NotFound
from tests.cast import actor

PARTS = [b"a" * (BLOCK + 1), b"b" * 10, b"c" * BLOCK]
WHOLE = b"".join(PARTS)
PATH = "free/d/f.bin"


@pytest.fixture(params=["directory", "s3"], autouse=True)
def _own_store(request, settings, tmp_path) -> None:
    settings.HOME = tmp_path
    settings.ARTIFACT_ROOT = str(tmp_path / "root")
    if request.param == "s3":
        settings.S3_ENDPOINT_URL = request.getfixturevalue("bucket")
        settings.ARTIFACT_ROOT = f"s3://models/{tmp_path.name}"


def send(begun: uploads.Begun, number: int, data: bytes, ticket: str | None = None) -> str:
    return uploads.receive_part(
        ticket=begun.tickets[number - 1] if ticket is None else ticket,
        upload_id=begun.upload_id,
        number=number,
        stream=io.BytesIO(data),
        expected_bytes=len(data),
    )


def test_parts_in_any_order_are_joined_to_the_file(dana) -> None:
    begun = uploads.begin(path=PATH, parts=3)
    send(begun, 2, b"sent again below")
    named = [(number, send(begun, number, PARTS[number - 1])) for number in (3, 1, 2)]
    file = uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=named)
    assert file.digest == hashlib.sha256(WHOLE).hexdigest()
    with tree.file_at(PATH).open(BLOCK) as opened:
        assert opened.read(3) == WHOLE[BLOCK : BLOCK + 3]
    with pytest.raises(NotFound, match="it is over"):
        send(begun, 1, b"late")


def test_who_missed_the_answer_gets_it_again_for_the_same_parts_alone(dana) -> None:
    begun = uploads.begin(path=PATH, parts=3)
    named = [(number, send(begun, number, PARTS[number - 1])) for number in (1, 2, 3)]

    def again(parts: list[tuple[int, str]], path: str = PATH) -> FileInfo:
        return uploads.complete(actor=actor(dana), path=path, upload_id=begun.upload_id, parts=parts)

    file = again(named)
    assert again(named) == again(named[::-1]) == file
    swapped = [(1, named[2][1]), (2, named[1][1]), (3, named[0][1])]
    for other in ([], named[:2], swapped, [(2, named[0][1]), *named[1:]], [*named[:2], (3, "../../secret_key")]):
        with pytest.raises(NotFound, match="it is over"):
            again(other)
    with pytest.raises(NotFound, match="it is over"):
        again(named, "free/d/other")
    commands.put_file(actor=actor(dana), path=PATH, stream=io.BytesIO(b"newer"), expected_bytes=5)
    with pytest.raises(NotFound, match="it is over"):
        again(named)


def test_what_is_missing_or_named_wrongly_is_not_joined(dana) -> None:
    begun = uploads.begin(path=PATH, parts=2)
    first = send(begun, 1, PARTS[0])
    for named in ([], [(1, first)], [(1, first), (2, first)]):
        with pytest.raises(Invalid):
            uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=named)
    second = send(begun, 2, PARTS[1])
    for named in ([(1, first)], [(1, second), (2, first)], [(1, first), (1, first), (2, second)]):
        with pytest.raises(Invalid):
            uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=named)
    with pytest.raises(NotFound):
        uploads.complete(actor=actor(dana), path="free/d/other", upload_id=begun.upload_id, parts=[(1, first), (2, second)])
    assert not tree.is_folder("free")
    assert uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=[(1, first), (2, second)])


@pytest.mark.django_db
def test_a_ticket_is_for_one_part_of_one_upload_and_for_a_day() -> None:
    mine, other = uploads.begin(path=PATH, parts=2), uploads.begin(path=PATH, parts=2)
    for wrong in ("", "x", mine.tickets[1], other.tickets[0]):
        with pytest.raises(Denied):
            send(mine, 1, b"x", ticket=wrong)
    assert not Blob.objects.exists()
    assert send(mine, 1, b"x")
    Upload.objects.filter(pk=mine.upload_id).update(created_at=timezone.now() - timedelta(days=2))
    with pytest.raises(NotFound):
        send(mine, 1, b"y")


@pytest.mark.django_db
def test_a_part_cut_off_is_not_kept_and_a_number_has_its_limits() -> None:
    begun = uploads.begin(path=PATH, parts=1)
    with pytest.raises(Invalid):
        uploads.receive_part(
            ticket=begun.tickets[0], upload_id=begun.upload_id, number=1, stream=io.BytesIO(b"ab"), expected_bytes=3
        )
    with pytest.raises(Invalid):
        uploads.receive_part(
            ticket=begun.tickets[0],
            upload_id=begun.upload_id,
            number=1,
            stream=io.BytesIO(b""),
            expected_bytes=uploads.MAX_PART_BYTES + 1,
        )
    for path, parts in ((PATH, 0), (PATH, 10_001), ("../x", 1), ("x/", 1)):
        with pytest.raises(Invalid):
            uploads.begin(path=path, parts=parts)
    assert not Blob.objects.exists()


def test_a_frozen_folder_takes_no_parts(dana) -> None:
    begun = uploads.begin(path=PATH, parts=1)
    digest = send(begun, 1, b"x")
    other = uploads.begin(path="free/d/held", parts=1)
    uploads.complete(actor=actor(dana), path="free/d/held", upload_id=other.upload_id, parts=[(1, send(other, 1, b"y"))])
    assert [file.path for file in commands.freeze("free/d", "model-version:1/1")] == ["held"]
    with pytest.raises(Conflict):
        uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=[(1, digest)])
    commands.unfreeze("model-version:1/1")
    assert uploads.complete(actor=actor(dana), path=PATH, upload_id=begun.upload_id, parts=[(1, digest)]).size_bytes == 1


def test_what_was_given_up_or_forgotten_is_collected(dana) -> None:
    given_up, forgotten, going_on = (uploads.begin(path=PATH, parts=1) for _ in range(3))
    for begun, data in ((given_up, b"1"), (forgotten, b"2"), (going_on, b"3")):
        send(begun, 1, data)
    with pytest.raises(NotFound):
        uploads.abort(path="free/other", upload_id=given_up.upload_id)
    for _ in range(2):
        uploads.abort(path=PATH, upload_id=given_up.upload_id)
    long_ago = timezone.now() - timedelta(days=2)
    Upload.objects.filter(pk=forgotten.upload_id).update(created_at=long_ago)
    Blob.objects.update(created_at=long_ago)
    assert commands.collect_unreferenced(older_than=timedelta(days=1)) == 2
    assert list(Blob.objects.values_list("digest", flat=True)) == [hashlib.sha256(b"3").hexdigest()]
