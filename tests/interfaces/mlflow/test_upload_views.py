"""Uploads in parts and downloads by address, over the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.models import AuditEvent
from interfaces.mlflow import artifact_views
from tests.cast import actor, bearer
from tests.interfaces.mlflow.conftest import Caller
from tracking.commands import experiments, runs

MPU, FILES = "/api/2.0/mlflow-artifacts/mpu", "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(autouse=True)
def _own_store(settings, tmp_path: Path) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path / "root")


@pytest.fixture
def root(dana) -> str:
    experiment = experiments.create_experiment(actor=actor(dana), name="e")
    return f"{experiment}/{runs.create_run(actor=actor(dana), experiment_id=experiment).run_id}/artifacts"


@pytest.fixture
def ask(dana):
    def post(step: str, folder: str, body: dict[str, Any], status: int = 200, who=dana) -> dict[str, Any]:
        return Caller(who).post(f"{MPU}/{step}/{folder}", body, status)

    return post


def send(client, credential: dict[str, Any], data: bytes, **headers: str) -> Any:
    path = urlsplit(credential["url"]).path
    return client.put(path, data, content_type="application/octet-stream", headers={**credential["headers"], **headers})


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(client, dana, root, ask) -> None:
    begun = ask("create", f"{root}/sub", {"path": "/data/big.bin", "num_parts": 2})
    parts = []
    for credential, data in zip(begun["credentials"], (b"first ", b"second"), strict=True):
        parts.append({"part_number": credential["part_number"], "etag": send(client, credential, data)["ETag"], "url": ""})
    ending = {"path": "/data/big.bin", "upload_id": begun["upload_id"], "parts": parts}
    assert ask("complete", f"{root}/sub", ending) == {}
    assert AuditEvent.objects.filter(action="artifact.stored").count() == 1

    given = client.get(f"/api/2.0/mlflow-artifacts/presigned/{root}/sub/big.bin", **bearer(dana)).json()
    assert given["file_size"] == 12
    path = urlsplit(given["url"]).path
    part = client.get(path, headers={**given["headers"], "Range": "bytes=6-11"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"second")
    assert client.get(path).status_code == 403
    assert (
        client.get(path, headers={artifact_views.TICKET: begun["credentials"][0]["headers"]["X-Upload-Ticket"]}).status_code
        == 403
    )


def test_an_upload_is_given_up_and_its_addresses_with_it(client, root, ask) -> None:
    begun = ask("create", root, {"path": "f"})
    ask("abort", root, {"path": "f", "upload_id": begun["upload_id"]})
    assert send(client, begun["credentials"][0], b"x").status_code == 404


def test_a_part_needs_its_ticket(client, root, ask) -> None:
    begun = ask("create", root, {"path": "f", "num_parts": 2})
    first, second = begun["credentials"]
    assert send(client, {**first, "headers": {}}, b"x").status_code == 403
    assert send(client, {**first, "headers": second["headers"]}, b"x").status_code == 403
    assert send(client, {**first, "url": first["url"] + "x"}, b"x").status_code == 404
    assert send(client, first, b"x").status_code == 200


@pytest.mark.parametrize("folder", ["%2e%2e", "a/../b", "%252e%252e", "a%23"])
def test_a_folder_that_leads_elsewhere_is_refused(ask, root, folder) -> None:
    ask("create", f"{root}/{folder}", {"path": "f"}, 400)


@pytest.mark.parametrize("path", ["", "..", "a/..", "a\\..", "dir/", "a#b", "%2e%2e", "a\u0000"])
def test_a_name_that_is_none_is_refused(ask, root, path) -> None:
    ask("create", root, {"path": path}, 400)


@pytest.mark.parametrize("path", ["../../../f", "/etc/f", "C:\\x\\f", "file:///etc/f"])
def test_of_the_path_on_the_clients_machine_only_the_name_counts(client, dana, ask, root, path) -> None:
    begun = ask("create", root, {"path": path})
    etag = send(client, begun["credentials"][0], b"x")["ETag"]
    ask("complete", root, {"path": path, "upload_id": begun["upload_id"], "parts": [{"part_number": 1, "etag": etag}]})
    assert client.get(FILES, {"path": root}, **bearer(dana)).json()["files"] == [{"path": "f", "is_dir": False, "file_size": 1}]


def test_who_may_not_write_there_neither_begins_nor_ends(client, mallory, ravi, root, ask) -> None:
    begun = ask("create", root, {"path": "f"})
    etag = send(client, begun["credentials"][0], b"x")["ETag"]
    ending = {"path": "f", "upload_id": begun["upload_id"], "parts": [{"part_number": 1, "etag": etag}]}
    for who, status in ((mallory, 404), (ravi, 403)):
        ask("create", root, {"path": "f"}, status, who)
        ask("complete", root, ending, status, who)
        ask("abort", root, {"path": "f", "upload_id": begun["upload_id"]}, status, who)
        assert client.get(f"/api/2.0/mlflow-artifacts/presigned/{root}/f", **bearer(who)).status_code == 404
    ask("complete", root, ending)


def test_addresses_of_a_bucket_are_not_signed(client, dana) -> None:
    for step in ("upload", "download"):
        answer = client.post(
            f"/api/2.0/mlflow/artifacts/presigned-{step}-url", "{}", content_type="application/json", **bearer(dana)
        )
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
