from __future__ import annotations

import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from artifacts import commands as artifacts
from core.access import grant
from core.models import AuditEvent, User
from registry.models import ModelVersion, RegisteredModel
from tests.cast import actor
from tests.interfaces.mlflow.conftest import Caller, Statements
from tracking.models import Experiment, Run

MODELS, VERSIONS = "registered-models/", "model-versions/"


@pytest.fixture
def model(api: Caller) -> str:
    api.ok("POST", MODELS + "create", name="credit")
    return "credit"


def version(api: Caller, name: str = "credit", **fields: Any) -> dict[str, Any]:
    given = {"source": "s3://bucket/x", **fields}
    return dict(api.ok("POST", VERSIONS + "create", name=name, **given)["model_version"])


def test_what_is_unset_is_left_out_and_what_is_empty_is_printed(api: Caller, model: str) -> None:
    made = api.ok("GET", MODELS + "get", name=model)["registered_model"]
    assert set(made) == {"name", "creation_timestamp", "last_updated_timestamp"}
    first = version(api)
    assert (first["description"], first["run_id"], first["run_link"], first["version"]) == ("", "", "", "1")
    assert not {"tags", "aliases", "model_id", "status_message"} & set(first)
    cleared = api.ok("PATCH", VERSIONS + "update", name=model, version="1")["model_version"]
    assert "description" not in cleared
    emptied = api.ok("PATCH", VERSIONS + "update", name=model, version="1", description="")["model_version"]
    assert emptied["description"] == ""


def test_tags_do_not_touch_the_time_of_the_last_change(api: Caller, model: str) -> None:
    version(api)
    before = api.ok("GET", MODELS + "get", name=model)["registered_model"]
    api.ok("POST", MODELS + "set-tag", name=model, key="a", value="1")
    api.ok("POST", VERSIONS + "set-tag", name=model, version="1", key="a", value="1")
    after = api.ok("GET", MODELS + "get", name=model)["registered_model"]
    assert after["last_updated_timestamp"] == before["last_updated_timestamp"]
    assert after["tags"] == [{"key": "a", "value": "1"}]
    api.ok("DELETE", MODELS + "delete-tag", name=model, key="none")
    api.ok("DELETE", VERSIONS + "delete-tag", name=model, version="1", key="none")
    assert api.refused("DELETE", MODELS + "delete-tag", name=model, key="a;b") == (400, "INVALID_PARAMETER_VALUE")
    assert api.refused("DELETE", VERSIONS + "delete-tag", name=model, version="1", key="a;b") == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("method", "path", "fields", "answer"),
    [
        ("POST", MODELS + "create", {"name": "credit"}, (400, "RESOURCE_ALREADY_EXISTS")),
        ("POST", MODELS + "create", {"name": "a/b"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", MODELS + "create", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "get", {"name": "nope"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", MODELS + "alias", {"name": "credit", "alias": "ghost"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "alias", {"name": "credit", "alias": "latest"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", MODELS + "alias", {"name": "credit", "alias": "v7", "version": "1"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", MODELS + "alias", {"name": "nope", "alias": "a"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", MODELS + "search", {"max_results": -1}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "search", {"max_results": 1001}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "search", {"page_token": "junk!"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "get-latest-versions", {"name": "credit", "stages": ["No"]}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", VERSIONS + "get", {"name": "credit", "version": "one"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", VERSIONS + "get", {"name": "credit", "version": "9"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", VERSIONS + "get", {"name": "credit", "version": "99999999999"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", VERSIONS + "create", {"name": "nope", "source": "s3://b/x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", VERSIONS + "create", {"name": "credit", "source": "/etc"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", VERSIONS + "create", {"name": "credit", "source": "s3://bucket"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", VERSIONS + "create", {"name": "credit", "source": "models:/credit/Nowhere"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", MODELS + "get", {"name": "a/b"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", MODELS + "set-tag", {"name": "credit", "key": "a$", "value": "x"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", MODELS + "rename", {"name": "credit", "newName": "other"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", MODELS + "alias", {"name": "credit", "alias": "a b"}, (400, "INVALID_PARAMETER_VALUE")),
        (
            "POST",
            VERSIONS + "transition-stage",
            {"name": "credit", "version": "1", "stage": "Staging", "archive_existing_versions": "true"},
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        (
            "POST",
            VERSIONS + "transition-stage",
            {"name": "credit", "version": "1", "stage": "None", "archive_existing_versions": True},
            (400, "INVALID_PARAMETER_VALUE"),
        ),
    ],
)
def test_a_refusal_has_the_protocols_code(
    api: Caller, model: str, method: str, path: str, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    assert api.refused(method, path, **fields) == answer
    assert RegisteredModel.objects.count() == 1


def test_an_outsider_is_told_of_nothing_and_finds_nothing(api: Caller, model: str, mallory: User) -> None:
    version(api)
    stranger = Caller(mallory)
    for method, path, fields in (
        ("GET", MODELS + "get", {}),
        ("PATCH", MODELS + "update", {"description": "x"}),
        ("POST", MODELS + "rename", {"new_name": "x"}),
        ("DELETE", MODELS + "delete", {}),
        ("GET", MODELS + "get-latest-versions", {}),
        ("POST", MODELS + "set-tag", {"key": "k", "value": "v"}),
        ("DELETE", MODELS + "delete-tag", {"key": "k"}),
        ("POST", MODELS + "alias", {"alias": "a", "version": "1"}),
        ("DELETE", MODELS + "alias", {"alias": "a"}),
        ("GET", MODELS + "alias", {"alias": "latest"}),
        ("POST", VERSIONS + "create", {"source": "s3://b/x"}),
        ("GET", VERSIONS + "get", {"version": "1"}),
        ("PATCH", VERSIONS + "update", {"version": "1"}),
        ("DELETE", VERSIONS + "delete", {"version": "1"}),
        ("GET", VERSIONS + "get-download-uri", {"version": "1"}),
        ("POST", VERSIONS + "transition-stage", {"version": "1", "stage": "Staging"}),
        ("POST", VERSIONS + "set-tag", {"version": "1", "key": "k", "value": "v"}),
        ("DELETE", VERSIONS + "delete-tag", {"version": "1", "key": "k"}),
    ):
        assert stranger.refused(method, path, name=model, **fields) == (404, "RESOURCE_DOES_NOT_EXIST"), path
    assert stranger.ok("GET", MODELS + "search") == {}
    assert stranger.ok("GET", VERSIONS + "search", filter="name = 'credit'") == {}
    assert stranger.refused("POST", MODELS + "create", name="new") == (403, "PERMISSION_DENIED")
    assert RegisteredModel.objects.count() == ModelVersion.objects.count() == 1
    assert AuditEvent.objects.filter(action="access.refused", actor="mallory").count() == 1


def test_pages_of_a_search_follow_one_another(api: Caller) -> None:
    for name in ("a", "b", "c", "d"):
        api.ok("POST", MODELS + "create", name=name)
    seen, token = [], ""
    for _ in range(2):
        page = api.ok("GET", MODELS + "search", max_results=2, order_by=["name DESC"], page_token=token)
        seen += [found["name"] for found in page["registered_models"]]
        token = page.get("next_page_token", "")
    assert (seen, token) == (["d", "c", "b", "a"], "")
    assert list(api.ok("GET", MODELS + "search", max_results=0)) == ["next_page_token"], "as MLflow's server has it"


@pytest.mark.parametrize(
    ("method", "path", "fields", "most", "apart"),
    [
        ("GET", MODELS + "get", {}, 2, 0),
        ("GET", MODELS + "search", {}, 2, 0),
        ("GET", MODELS + "alias", {"alias": "latest"}, 2, 0),
        ("GET", MODELS + "get-latest-versions", {}, 2, 0),
        ("GET", VERSIONS + "get", {"version": "1"}, 2, 0),
        ("GET", VERSIONS + "search", {"filter": "tags.a = '1'"}, 2, 0),
        ("POST", VERSIONS + "set-tag", {"version": "1", "key": "k", "value": "v"}, 3, 1),
        ("POST", VERSIONS + "create", {"source": "s3://b/x", "tags": [{"key": "a", "value": "1"}]}, 5, 4),
        ("POST", MODELS + "set-tag", {"key": "k", "value": "v"}, 10, 0),
        ("POST", MODELS + "alias", {"alias": "a", "version": "1"}, 7, 0),
        ("POST", MODELS + "alias", {"alias": "moved", "version": "2"}, 7, 1),
    ],
)
def test_statements_of_a_request_are_counted_with_the_one_that_knows_the_caller(
    api: Caller, model: str, method: str, path: str, fields: dict[str, Any], most: int, apart: int, statements: Statements
) -> None:
    """apart: how many more there are where an engine takes apart what PostgreSQL takes together."""
    for _ in range(3):
        version(api, tags=[{"key": "a", "value": "1"}])
    api.ok("POST", MODELS + "alias", name=model, alias="moved", version="1")
    api.ok(method, path, name=model, **fields)  # reads the ids of permissions, once in a process
    if fields.get("alias") == "moved":
        api.ok(method, path, name=model, **{**fields, "version": "3"})
    with CaptureQueriesContext(connection) as carried_out:
        api.ok(method, path, name=model, **fields)
    assert len(carried_out) <= most + apart * statements.apart, [query["sql"][:80] for query in carried_out]


def test_a_databricks_client_deletes_by_query_string_and_others_are_told_of_the_body(api: Caller, model: str) -> None:
    address = "/api/2.0/mlflow/registered-models/delete?name=credit"
    assert api.client.delete(address, **api.headers).status_code == 400
    assert api.client.delete(address, HTTP_USER_AGENT="x/1 databricks-sdk-py/0.1", **api.headers).status_code == 200


@pytest.fixture
def run(dana: User) -> Run:
    experiment = Experiment.objects.create(name="own", artifact_location="mlflow-artifacts:/own", created_ms=1, updated_ms=1)
    grant(experiment, "experiment_manage", users=[dana.pk])
    made = Run.objects.create(
        id="a" * 32, experiment=experiment, name="r", artifact_uri=f"mlflow-artifacts:/own/{'a' * 32}/artifacts"
    )
    for name, content in (("model/MLmodel", b"flavors: {}"), ("model/data/weights", b"123"), ("secret.txt", b"not the model's")):
        artifacts.put_file(
            actor=actor(dana), path=f"own/{made.pk}/artifacts/{name}", stream=io.BytesIO(content), expected_bytes=len(content)
        )
    return made


def test_a_versions_files_are_served_to_who_may_read_the_model_and_no_other_files(
    api: Caller, model: str, run: Run, mallory: User
) -> None:
    version(api, source=f"{run.artifact_uri}/model", run_id=run.pk)
    reader = Caller(mallory)

    def get(path: str) -> Any:
        return reader.client.get("/model-versions/get-artifact", {"name": model, "version": "1", "path": path}, **reader.headers)

    assert get("MLmodel").status_code == 404
    grant(RegisteredModel.objects.get(), "model_read", users=[mallory.pk])
    answer = get("MLmodel")
    assert (answer.status_code, b"".join(answer)) == (200, b"flavors: {}")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert get("../secret.txt").status_code == 400
    assert get("data").status_code == 400
    assert get("secret.txt").status_code == 404
    assert reader.client.get("/model-versions/get-artifact", {"name": model}, **reader.headers).status_code == 400


def test_a_runs_address_stays_one_and_its_files_are_in_the_manifest(api: Caller, model: str, run: Run) -> None:
    version(api, source=f"runs:/{run.pk}/model", run_id=run.pk)
    assert api.ok("GET", VERSIONS + "get-download-uri", name=model, version="1") == {"artifact_uri": f"runs:/{run.pk}/model"}
    assert ModelVersion.objects.get().content_digest.startswith("sha256:")
    assert ModelVersion.objects.get().files.count() == 2


def test_a_copys_address_is_that_of_what_it_was_copied_from(api: Caller, model: str, run: Run) -> None:
    first = api.ok("POST", VERSIONS + "create", name=model, source=f"runs:/{run.pk}/m", run_id=run.pk)["model_version"]["version"]
    api.ok("POST", MODELS + "create", name="copy")
    api.ok("POST", VERSIONS + "create", name="copy", source=f"models:/{model}/{first}")
    assert api.ok("GET", VERSIONS + "get-download-uri", name="copy", version="1") == {"artifact_uri": f"runs:/{run.pk}/m"}


def test_a_run_that_is_not_here_cannot_be_deleted_though_a_version_names_it(api: Caller, model: str) -> None:
    elsewhere = "0" * 32
    api.ok("POST", VERSIONS + "create", name=model, source=f"runs:/{elsewhere}/m", run_id=elsewhere)
    assert api.refused("POST", "runs/delete", run_id=elsewhere) == (404, "RESOURCE_DOES_NOT_EXIST")
