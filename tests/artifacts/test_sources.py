"""Files on the server and in buckets are read from where an operator allows, and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artifacts.sources import open_source
from core.errors import Invalid, NotFound


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file in a folder, beside a file that is nobody's business."""
    inner = tmp_path / "data" / "inner"
    inner.mkdir(parents=True)
    (inner / "rows.csv").write_bytes(b"a\n1\n")
    (tmp_path / "secret.csv").write_bytes(b"secret\n1\n")
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "data-of-others" / "rows.csv").write_bytes(b"others\n1\n")
    return tmp_path / "data"


def content(address: str, allowed: list[str]) -> bytes:
    with open_source(address, allowed) as source:
        return b"".join(iter(lambda: source.read(3), b""))


def test_a_file_below_an_allowed_folder_is_read(root: Path) -> None:
    for allowed in (str(root), f"{root}/", f"file://{root}"):
        assert content(f"{root}/inner/rows.csv", ["s3://elsewhere", allowed]) == b"a\n1\n"
        assert content(f"file://{root}/inner/rows.csv", [allowed]) == b"a\n1\n"


def test_what_is_no_file_below_it_is_refused(root: Path) -> None:
    (root / "link.csv").symlink_to(root.parent / "secret.csv")
    (root / "within.csv").symlink_to(root / "inner" / "rows.csv")
    (root / "folder").symlink_to(root.parent)
    os.mkfifo(root / "pipe.csv")
    allowed = [str(root)]
    for address, word in (
        (f"{root}/../secret.csv", "not below"),
        (f"{root}/inner/../../secret.csv", "not below"),
        (f"{root}//inner/rows.csv", "not below"),
        (f"{root}/./inner/rows.csv", "not below"),
        (f"{root}-of-others/rows.csv", "not below"),
        (str(root.parent / "secret.csv"), "not below"),
        (str(root), "not below"),
        ("inner/rows.csv", "not below"),
        ("file://inner/rows.csv", "not below"),
        (f"{root}/a\0b", "not below"),
        ("http://127.0.0.1/rows.csv", "not below"),
        (f"{root}/link.csv", "Links are not followed"),
        (f"{root}/within.csv", "Links are not followed"),
        (f"{root}/folder/secret.csv", "Links are not followed"),
        (f"{root}/pipe.csv", "is no file"),
        (f"{root}/inner", "is no file"),
        (f"{root}/inner/rows.csv/more", "cannot be read"),
    ):
        with pytest.raises(Invalid, match=word):
            content(address, allowed)
    with pytest.raises(NotFound):
        content(f"{root}/absent.csv", allowed)
    with pytest.raises(NotFound):
        content(f"{root}/absent/rows.csv", allowed)
    with pytest.raises(Invalid, match="DATASET_SOURCES"):
        content(f"{root}/inner/rows.csv", [])


def test_an_object_below_an_allowed_prefix_is_read(bucket: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=bucket)
    for key in ("held/out/rows.csv", "held-back/rows.csv", "rows.csv"):
        client.put_object(Bucket="models", Key=key, Body=key.encode())

    def read(address: str, allowed: list[str]) -> bytes:
        with open_source(address, allowed, bucket) as source:
            return b"".join(iter(lambda: source.read(3), b""))

    assert read("s3://models/held/out/rows.csv", ["/srv/data", "s3://models/held/"]) == b"held/out/rows.csv"
    assert read("s3://models/rows.csv", ["s3://models"]) == b"rows.csv"
    for address in (
        "s3://models/held-back/rows.csv",
        "s3://models/held",
        "s3://models/held/../rows.csv",
        "s3://others/held/rows.csv",
        "s3://models",
        "s3://models/",
    ):
        with pytest.raises(Invalid, match="not below"):
            read(address, ["s3://models/held"])
    with pytest.raises(NotFound, match="held/absent"):
        read("s3://models/held/absent.csv", ["s3://models/held"])
    with pytest.raises(NotFound):
        read("s3://no-such-bucket/rows.csv", ["s3://no-such-bucket"])
