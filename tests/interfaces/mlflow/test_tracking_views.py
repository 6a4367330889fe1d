"""The tracking endpoints: shape, codes, who is refused, and how many statements the hot ones take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import bearer

API = "/api/2.0/mlflow/"


class Caller:
    """Somebody with a token, speaking the protocol."""

    def __init__(self, client, user) -> None:
        self._client, self._head = client, bearer(user)

    def post(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._send("post", path, body, status)

    def patch(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._send("patch", path, body, status)

    def delete(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return self._send("delete", path, body, status)

    def get(self, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
        answer = self._client.get(path if path.startswith("/") else API + path, query, **self._head)
        assert answer.status_code == status, answer.content
        return json.loads(answer.content)

    def _send(self, method: str, path: str, body: Any, status: int) -> dict[str, Any]:
        full = path if path.startswith("/") else API + path
        text = body if isinstance(body, str) else json.dumps(body or {})
        answer = getattr(self._client, method)(full, text, content_type="application/json", **self._head)
        assert answer.status_code == status, answer.content
        return json.loads(answer.content)


@pytest.fixture
def api(client, dana) -> Caller:
    return Caller(client, dana)


@pytest.fixture
def experiment(api) -> str:
    return api.post("experiments/create", {"name": "e"})["experiment_id"]


@pytest.fixture
def run_id(api, experiment) -> str:
    body = {"experiment_id": experiment, "run_name": "first", "start_time": 7, "tags": [{"key": "k", "value": "v"}]}
    return api.post("runs/create", body)["run"]["info"]["run_id"]


def test_a_run_is_printed_with_what_was_set(api, experiment, run_id) -> None:
    api.post(
        "runs/log-batch",
        {"run_id": run_id, "metrics": [{"key": "m", "value": "NaN", "timestamp": "5"}], "params": [{"key": "p", "value": "1"}]},
    )
    run = api.get("runs/get", run_uuid=run_id)["run"]
    info = run["info"]
    assert (info["run_name"], info["start_time"], info["experiment_id"], "end_time" in info) == ("first", 7, experiment, False)
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
    assert run["data"]["metrics"] == [{"key": "m", "value": "NaN", "timestamp": 5, "step": 0}]
    assert run["data"]["params"] == [{"key": "p", "value": "1"}]
    assert (run["inputs"], run["outputs"]) == ({}, {})
    updated = api.post("runs/update", {"run_id": run_id, "run_uuid": run_id, "status": "FINISHED", "end_time": 9})["run_info"]
    assert (updated["status"], updated["end_time"]) == ("FINISHED", 9)


def test_a_stranger_gets_the_same_answer_as_for_what_is_not_there(api, client, mallory, experiment, run_id) -> None:
    stranger = Caller(client, mallory)
    for path, query in (("runs/get", {"run_id": run_id}), ("experiments/get", {"experiment_id": experiment})):
        refused = stranger.get(path, 404, **query)
        assert refused["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert api.get(path, **query)
    for path, body in (
        ("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}),
        ("runs/set-tag", {"run_id": run_id, "key": "m", "value": "1"}),
        ("runs/create", {"experiment_id": experiment}),
        ("runs/delete", {"run_id": run_id}),
    ):
        assert stranger.post(path, body, 404)["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert stranger.post("runs/search", {"experiment_ids": [experiment]}) == {}
    assert stranger.get("metrics/get-history", run_id=run_id, metric_key="m") == {}
    assert stranger.post("experiments/create", {"name": "own"}, 403)["error_code"] == "PERMISSION_DENIED"


def test_search_pages_end_without_a_token(api, experiment) -> None:
    for start in range(4):
        api.post("runs/create", {"experiment_id": experiment, "start_time": start})
    seen, token = [], None
    for _ in range(2):
        page = api.post(
            "runs/search", {"experiment_ids": [experiment], "max_results": 2, **({"page_token": token} if token else {})}
        )
        seen += [run["info"]["start_time"] for run in page["runs"]]
        token = page.get("next_page_token")
    assert (seen, token) == ([3, 2, 1, 0], None)
    for wrong in ("not-a-token", "e30=", "eyJvZmZzZXQiOiAwfQ=="):
        refused = api.post("runs/search", {"experiment_ids": [experiment], "page_token": wrong}, 400)
        assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_token_of_logged_models_is_bound_to_its_query(api, experiment) -> None:
    for _ in range(3):
        api.post("logged-models", {"experiment_id": experiment})
    query = {"experiment_ids": [experiment], "max_results": 2}
    token = api.post("logged-models/search", query)["next_page_token"]
    assert len(api.post("logged-models/search", {**query, "page_token": token})["models"]) == 1
    api.post("logged-models/search", {**query, "page_token": token, "filter": "name != 'x'"}, 400)


def test_history_is_paged_and_the_last_full_page_has_no_token(api, run_id) -> None:
    points = [{"key": "m", "value": n, "timestamp": n} for n in range(4)]
    api.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    first = api.get("metrics/get-history", run_id=run_id, metric_key="m", max_results=2)
    second = api.get("metrics/get-history", run_id=run_id, metric_key="m", max_results=2, page_token=first["next_page_token"])
    assert [p["value"] for p in first["metrics"] + second["metrics"]] == [0, 1, 2, 3]
    assert "next_page_token" not in second
    whole = api.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id=[run_id], metric_key="m")
    assert [p["run_id"] for p in whole["metrics"]] == [run_id] * 4
    sampled = api.get("metrics/get-history-bulk-interval", run_ids=[run_id], metric_key="m", max_results=1)
    assert sampled["metrics"]
    api.get("metrics/get-history-bulk-interval", 400, run_ids=[run_id], metric_key="m", start_step=1)


def test_a_logged_model_is_made_filled_and_found(api, experiment, run_id) -> None:
    made = api.post("logged-models", {"experiment_id": experiment, "name": "m", "params": [{"key": "p", "value": "1"}]})["model"]
    model_id = made["info"]["model_id"]
    assert (made["info"]["status"], made["info"]["model_type"]) == ("LOGGED_MODEL_PENDING", "")
    ready = api.patch(f"logged-models/{model_id}", {"model_id": model_id, "status": 2})["model"]
    assert ready["info"]["status"] == "LOGGED_MODEL_READY"
    api.patch(f"logged-models/{model_id}", {"status": 2}, 400)
    api.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": 4}]})
    assert api.get("runs/get", run_id=run_id)["run"]["outputs"] == {"model_outputs": [{"model_id": model_id, "step": 4}]}
    again = api.post(f"logged-models/{model_id}/params", {"model_id": model_id, "params": [{"key": "p", "value": "2"}]}, 400)
    assert again["error_code"] == "BAD_REQUEST"
    api.delete(f"logged-models/{model_id}")
    api.get(f"logged-models/{model_id}", 404)
    assert api.get(f"logged-models/{model_id}", allow_deleted="true")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("experiments/create", {"name": "e"}, "RESOURCE_ALREADY_EXISTS"),
        ("experiments/create", "[1]", "INVALID_PARAMETER_VALUE"),
        ("experiments/search", {}, "INVALID_PARAMETER_VALUE"),
        ("runs/search", {"experiment_ids": ["x"]}, "INVALID_PARAMETER_VALUE"),
        ("runs/create", {"experiment_id": "abc"}, "INVALID_PARAMETER_VALUE"),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}, "INVALID_PARAMETER_VALUE"),
        ("runs/log-metric", {"runId": "x", "key": "m", "value": 1, "timestamp": 1}, "INVALID_PARAMETER_VALUE"),
        ("runs/create", {}, "BAD_REQUEST"),
        ("runs/create", {"experiment_id": "0", "tags": [{"key": "a"}, {"key": "a"}]}, "BAD_REQUEST"),
        ("runs/create", {"experiment_id": "0", "tags": [{"key": "mlflow.runName", "value": ""}]}, "BAD_REQUEST"),
        ("experiments/create", {"name": "f", "tags": [{"key": "a"}, {"key": "a"}]}, "RESOURCE_ALREADY_EXISTS"),
        ("experiments/create", {"name": "f", "artifact_location": "hdfs://host/x"}, "INVALID_PARAMETER_VALUE"),
        ("experiments/search", {"max_results": 1, "filter": "attributes.name = 'x'"}, "INVALID_PARAMETER_VALUE"),
        ("logged-models/search", {}, "INVALID_PARAMETER_VALUE"),
        ("logged-models/search", {"experiment_ids": [], "order_by": [{"field_name": "params.p"}]}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_refusal_has_the_code_the_client_knows(api, experiment, path, body, code) -> None:
    assert api.post(path, body, 400)["error_code"] == code


def test_an_experiment_that_cannot_be_is_absent(api) -> None:
    for number in ("-1", "99999999999999999999"):
        api.get("experiments/get", 404, experiment_id=number)
    api.get("experiments/get", 400, experiment_id="one")


def test_a_location_is_kept_as_it_was_given(api) -> None:
    made = api.post("experiments/create", {"name": "elsewhere", "artifact_location": "s3://bucket/x/"})
    assert api.get("experiments/get", **made)["experiment"]["artifact_location"] == "s3://bucket/x/"
    assert "//" not in api.post("runs/create", made)["run"]["info"]["artifact_uri"].removeprefix("s3://")


def test_a_metric_names_its_data_set_whole(api, run_id) -> None:
    point = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
    api.post("runs/log-metric", {**point, "dataset_name": "d"}, 400)
    api.post("runs/log-metric", {**point, "dataset_name": "d", "dataset_digest": "x"})


def test_tags_of_a_new_run_may_have_any_sign_and_later_ones_not(api, experiment, run_id) -> None:
    api.post("runs/create", {"experiment_id": experiment, "tags": [{"key": "a,b$", "value": "1"}]})
    api.post("runs/set-tag", {"run_id": run_id, "key": "a,b$", "value": "1"}, 400)


def test_where_the_old_name_of_an_id_was_never_known_it_names_nothing(api, run_id) -> None:
    api.post("runs/delete", {"run_uuid": run_id}, 404)
    api.post("runs/log-parameter", {"run_uuid": run_id, "key": "p", "value": "1"})


def test_models_are_found_by_the_data_set_they_were_measured_on(api, experiment, run_id) -> None:
    made = {"experiment_id": experiment}
    ids = [api.post("logged-models", {**made, "name": name})["model"]["info"]["model_id"] for name in ("a", "b", "c")]
    for model_id, digest in zip(ids, ("1", "2"), strict=False):
        measured = {"model_id": model_id, "dataset_name": "d", "dataset_digest": digest}
        api.post("runs/log-metric", {"run_id": run_id, "key": "acc", "value": 1, "timestamp": 1, **measured})
    for datasets, names in (([{"dataset_name": "d"}], ["b", "a"]), ([{"dataset_name": "d", "dataset_digest": "1"}], ["a"])):
        found = api.post("logged-models/search", {"experiment_ids": [experiment], "datasets": datasets})["models"]
        assert sorted(m["info"]["name"] for m in found) == sorted(names)
    api.post("logged-models/search", {"experiment_ids": [experiment], "datasets": [{"dataset_name": ""}]}, 400)


def test_reads_are_one_statement_beside_the_sign_in(api, experiment, run_id, django_assert_num_queries, statements) -> None:
    api.post("runs/log-batch", {"run_id": run_id, "metrics": [{"key": "m", "value": 1, "timestamp": 1}]})
    more = statements.for_metrics_apart
    for count, call in (
        (2 + more, lambda: api.get("runs/get", run_id=run_id)),
        (2 + more, lambda: api.post("runs/search", {"experiment_ids": [experiment], "filter": "metrics.m > 0"})),
        (2, lambda: api.get("metrics/get-history", run_id=run_id, metric_key="m")),
        (2, lambda: api.get("experiments/get", experiment_id=experiment)),
    ):
        with django_assert_num_queries(count):
            call()


def test_writes_are_few_statements_with_their_event(api, experiment, run_id, django_assert_num_queries, statements) -> None:
    metrics = [{"key": f"m{n}", "value": n, "timestamp": 1} for n in range(100)]
    params = [{"key": f"p{n}", "value": "1"} for n in range(20)]
    api.post("runs/set-tag", {"run_id": run_id, "key": "warm", "value": "up"})
    frame = 2 + statements.for_a_transaction  # the sign-in and the event
    for count, call in (
        (frame + 2, lambda: api.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"})),
        (frame + 3, lambda: api.post("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1})),
        (frame + 4, lambda: api.post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params})),
        (frame + 3, lambda: api.post("runs/create", {"experiment_id": experiment})),
    ):
        with django_assert_num_queries(count):
            call()


def test_a_list_of_ids_may_be_long_but_not_longer_than_a_statement_takes(api, run_id) -> None:
    many = [str(number) for number in range(20_001)]
    assert [r["info"]["run_id"] for r in api.post("runs/search", {"experiment_ids": many[:-1]})["runs"]] == [run_id]
    for path in ("runs/search", "logged-models/search", "experiments/search-datasets"):
        whole = f"/ajax-api/2.0/mlflow/{path}" if "datasets" in path else path
        refused = api.post(whole, {"experiment_ids": many}, 400)
        assert "'experiment_ids'" in refused["message"] and "20000" in refused["message"]
    noted = api.post("runs/log-inputs", {"run_id": run_id, "models": [{"model_id": "m"}] * 20_001}, 400)
    assert "'models'" in noted["message"]


@pytest.mark.parametrize("wrong", ["9" * 5000, "²", "1" + "0" * 19])
def test_a_number_that_nobody_can_mean_is_refused(api, experiment, run_id, wrong) -> None:
    """Python refuses to read thousands of digits, with an error of its own."""
    api.get("experiments/get", 404 if len(wrong) == 20 else 400, experiment_id=wrong)  # a number, but of no experiment
    api.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", 400, run_id=run_id, metric_key="loss", max_results="9" * 5000)
    api.post("experiments/search", {"max_results": 5, "filter": f"creation_time > {wrong}"}, 400)
    api.post("runs/search", {"experiment_ids": [experiment], "run_view_type": wrong}, 400)
    assert api.post("runs/search", {"experiment_ids": [experiment], "filter": "metrics.loss < 1e400"}, 200) == {}


def test_a_query_with_too_many_fields_is_refused(api) -> None:
    query = "&".join(f"stages={at}" for at in range(1001))
    assert "too many fields" in api.get(f"{API}registered-models/get-latest-versions?name=x&{query}", 400)["message"]


def test_a_models_description_is_kept_whatever_the_run_was_tagged_with(api, run_id) -> None:
    model = {"artifact_path": "m", "flavors": {}, "run_id": run_id, "utc_time_created": "x", "size": 10**30}
    for tagged in ("[", "5", "[" * 3000, '{"a":1}'):
        api.post("runs/set-tag", {"run_id": run_id, "key": "mlflow.log-model.history", "value": tagged})
        api.post("runs/log-model", {"run_id": run_id, "model_json": json.dumps(model)})
        tags = {tag["key"]: tag["value"] for tag in api.get("runs/get", run_id=run_id)["run"]["data"]["tags"]}
        assert json.loads(tags["mlflow.log-model.history"]) == [model]
    api.post("runs/log-model", {"run_id": run_id, "model_json": json.dumps({**model, "run_id": "second"})})
    tags = {tag["key"]: tag["value"] for tag in api.get("runs/get", run_id=run_id)["run"]["data"]["tags"]}
    assert len(json.loads(tags["mlflow.log-model.history"])) == 2
    for wrong in ("[", "[" * 100_000, "5", "{}"):
        api.post("runs/log-model", {"run_id": run_id, "model_json": wrong}, 400)
