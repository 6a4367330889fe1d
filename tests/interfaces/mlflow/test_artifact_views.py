"""Files over the protocol: round trips, ranges, attacks, and who may."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction

from artifacts import commands as tree
from artifacts.models import ArtifactFile
from core import access
from interfaces.mlflow.artifact_views import body_source
from tests.cast import actor, bearer
from tracking.commands import experiments, runs
from tracking.models import Experiment

FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path: Path) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "root")


@pytest.fixture
def head(dana) -> dict[str, str]:
    return bearer(dana)


@pytest.fixture
def run(dana) -> tuple[int, str]:
    experiment = experiments.create_experiment(actor=actor(dana), name="e")
    return experiment, runs.create_run(actor=actor(dana), experiment_id=experiment).run_id


@pytest.fixture
def root(run) -> str:
    return f"{run[0]}/{run[1]}/artifacts"


def put(client, head, path: str, data: bytes, **more):
    return client.put(f"{FILES}/{path}", data, content_type="application/octet-stream", **head, **more)


def content(answer) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_file_goes_there_and_back(client, head, root, run) -> None:
    assert put(client, head, f"{root}/model/MLmodel", b"flavors: 1").status_code == 200
    got = client.get(f"{FILES}/{root}/model/MLmodel", **head)
    assert content(got) == b"flavors: 1"
    assert (got["X-Content-Type-Options"], got["Content-Type"]) == ("nosniff", "text/plain")
    assert client.get(FILES, {"path": f"{root}"}, **head).json() == {"files": [{"path": "model", "is_dir": True}]}
    listed = client.get("/api/2.0/mlflow/artifacts/list", {"run_id": run[1], "path": "model"}, **head).json()
    assert listed == {
        "root_uri": f"mlflow-artifacts:/{root}",
        "files": [{"path": "model/MLmodel", "is_dir": False, "file_size": 10}],
    }
    assert content(client.get("/get-artifact", {"run_id": run[1], "path": "model/MLmodel"}, **head)) == b"flavors: 1"
    assert client.get(f"{FILES}/{root}/model", **head).status_code == 400
    assert client.get(f"{FILES}/{root}/nothing", **head).status_code == 404
    assert client.delete(f"{FILES}/{root}/model", **head).json() == {}
    assert client.delete(f"{FILES}/{root}/model", **head).json() == {}
    assert client.get(FILES, {"path": root}, **head).json() == {}


@pytest.mark.parametrize(
    ("name", "disposition", "kind"),
    [
        ("a.txt", "attachment; filename=a.txt", "text/plain"),
        ("a b.png", 'attachment; filename="a b.png"', "image/png"),
        ('q"x.svg', 'attachment; filename="q\\"x.svg"', "application/octet-stream"),
        ("日é a.mjs", "attachment; filename=\"e a.mjs\"; filename*=UTF-8''%E6%97%A5%C3%A9%20a.mjs", "application/octet-stream"),
        ("日本", "attachment; filename=download; filename*=UTF-8''%E6%97%A5%E6%9C%AC", "application/octet-stream"),
    ],
)
def test_a_download_is_described_as_there(client, head, root, name, disposition, kind) -> None:
    put(client, head, f"{root}/{quote(name)}", b"0123456789")
    got, bare = (method(f"{FILES}/{root}/{quote(name)}", **head) for method in (client.get, client.head))
    for answer in (got, bare):
        assert [answer[header] for header in ("Content-Disposition", "Content-Type", "Content-Length")] == [
            disposition,
            kind,
            "10",
        ]
    assert (content(got), bare.content) == (b"0123456789", b"")
    part = client.head(f"{FILES}/{root}/{quote(name)}", HTTP_RANGE="bytes=-3", **head)
    assert (part.status_code, part["Content-Length"], part["Content-Range"]) == (206, "3", "bytes 7-9/10")


@pytest.mark.parametrize(
    ("header", "status", "body", "described"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-100", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=" + "9" * 99 + "-", 416, b"", "bytes */10"),
        ("bytes=-" + "9" * 5000, 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file(client, head, root, header, status, body, described) -> None:
    put(client, head, f"{root}/f", b"0123456789")
    got = client.get(f"{FILES}/{root}/f", HTTP_RANGE=header, **head)
    assert (got.status_code, got.get("Content-Range")) == (status, described)
    assert (content(got) if got.streaming else got.content) == body


def test_an_empty_file_is_listed_without_a_size_and_can_be_read(client, head, root) -> None:
    put(client, head, f"{root}/empty", b"")
    listed = client.get(f"{FILES}?path={root}", **head).json()
    assert listed == {"files": [{"path": "empty", "is_dir": False}]}
    got = client.get(f"{FILES}/{root}/empty", HTTP_RANGE="lines=1-2", **head)
    assert (got.status_code, content(got)) == (200, b"")


ATTACKS = ["../x", "a/../../x", "%2e%2e/x", "%252e%252e/x", "..%2fx", "%2fetc/passwd", "C:%5Cx", "a%23b", "a%00b", "file:%2f%2fx"]


@pytest.mark.parametrize("path", ATTACKS)
def test_a_path_that_leads_elsewhere_is_refused_everywhere(client, head, run, path) -> None:
    answers = [
        put(client, head, path, b"x"),
        client.get(f"{FILES}/{path}", **head),
        client.delete(f"{FILES}/{path}", **head),
        client.get(f"{FILES}?path={path}", **head),
        client.get(f"/api/2.0/mlflow/artifacts/list?run_id={run[1]}&path={path}", **head),
        client.get(f"/get-artifact?run_id={run[1]}&path={path}", **head),
        client.post(
            f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run[1]}&path={path}", b"x", content_type="text/plain", **head
        ),
    ]
    assert {(a.status_code, a.json()["error_code"]) for a in answers} == {(400, "INVALID_PARAMETER_VALUE")}
    assert not ArtifactFile.objects.exists()


def test_a_stranger_neither_reads_nor_writes(client, head, root, mallory, ravi) -> None:
    put(client, head, f"{root}/f", b"1")
    stranger = bearer(mallory)
    assert client.get(f"{FILES}/{root}/f", **stranger).status_code == 404
    assert put(client, stranger, f"{root}/f", b"2").status_code == 404
    assert client.delete(f"{FILES}/{root}", **stranger).status_code == 404
    assert client.get(FILES, {"path": root}, **stranger).json() == {}
    assert client.get(FILES, **stranger).json() == {}
    assert put(client, stranger, "common/f", b"2").status_code == 404
    assert content(client.get(f"{FILES}/{root}/f", **bearer(ravi))) == b"1"
    assert put(client, bearer(ravi), f"{root}/f", b"2").status_code == 403
    assert put(client, head, "99999/f", b"2").status_code == 404, "no such experiment"


def test_a_location_of_its_own_is_guarded_by_its_experiment(client, head, dana, ravi, mallory) -> None:
    experiment = experiments.create_experiment(actor=actor(dana), name="own", artifact_location="mlflow-artifacts:/team/churn")
    assert put(client, head, "team/churn/f", b"1").status_code == 200
    access.grant(Experiment.objects.get(pk=experiment), "experiment_read", users=[mallory.pk])
    assert content(client.get(f"{FILES}/team/churn/f", **bearer(mallory))) == b"1"
    assert put(client, bearer(mallory), "team/churn/f", b"2").status_code == 403
    assert client.get(f"{FILES}/team/other", **bearer(mallory)).status_code == 404


def test_what_a_version_relies_on_is_a_conflict_to_change(client, head, root) -> None:
    put(client, head, f"{root}/m/f", b"1")
    with transaction.atomic():
        tree.freeze(f"{root}/m", "model-version:1")
    assert put(client, head, f"{root}/m/f", b"1").status_code == 200
    refused = put(client, head, f"{root}/m/f", b"2")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "new version" in refused.json()["message"]
    assert client.delete(f"{FILES}/{root}", **head).status_code == 409


def test_an_upload_cut_off_keeps_nothing(client, head, root, tmp_path) -> None:
    refused = put(client, head, f"{root}/f", b"", CONTENT_LENGTH="10", **{"wsgi.input": io.BytesIO(b"12345")})
    assert refused.status_code == 400
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert not ArtifactFile.objects.exists()


def test_an_upload_with_another_digest_than_announced_keeps_nothing(client, head, root) -> None:
    def announced(data: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"

    assert put(client, head, f"{root}/f", b"12345", HTTP_CONTENT_DIGEST=announced(b"1234567")).status_code == 400
    assert not ArtifactFile.objects.exists()
    assert put(client, head, f"{root}/f", b"12345", HTTP_CONTENT_DIGEST=announced(b"12345")).status_code == 200


def test_a_chunked_body_is_read_from_the_server_in_blocks() -> None:
    class Input(io.BytesIO):
        sizes: list[int] = []

        def read(self, size: int | None = -1, /) -> bytes:
            self.sizes.append(size or 0)
            return super().read(size)

    environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/x", "wsgi.input": Input(b"abc"), "HTTP_TRANSFER_ENCODING": "chunked"}
    source, length = body_source(WSGIRequest(environ))
    assert length is None
    assert source.read(2) + source.read(2) == b"abc"
    assert Input.sizes == [2, 2]


def test_the_small_upload_of_pages_is_neither_empty_nor_large(client, head, run) -> None:
    url = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run[1]}&path=a/b.txt"
    assert client.post(url, b"", content_type="text/plain", **head).status_code == 400
    assert client.post(url, b"x" * (10 * 1024 * 1024 + 1), content_type="text/plain", **head).status_code == 400
    assert client.post(url, b"x", content_type="text/plain", **head).content == b""
    assert content(client.get("/get-artifact", {"run_uuid": run[1], "path": "a/b.txt"}, **head)) == b"x"
