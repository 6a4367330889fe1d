"""What the tracking endpoints have in common: codes, who is refused, and how many statements the hot ones take."""

from __future__ import annotations

import pytest

from tests.interfaces.mlflow.conftest import Caller


def test_a_stranger_gets_the_same_answer_as_for_what_is_not_there(api, mallory, experiment, run_id) -> None:
    stranger = Caller(mallory)
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


def test_reads_are_one_statement_beside_the_sign_in(api, experiment, run_id, django_assert_num_queries, statements) -> None:
    api.post("runs/log-batch", {"run_id": run_id, "metrics": [{"key": "m", "value": 1, "timestamp": 1}]})
    more = statements.apart
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
    api.post("runs/log-metric", {"run_id": run_id, "key": "warm", "value": 1, "timestamp": 1})  # reads the run's experiment, once
    frame = 2 + statements.for_a_transaction  # the sign-in and the event, with which PostgreSQL takes all that is logged
    point = {"key": "m", "value": 1, "timestamp": 1}
    batch = {"metrics": metrics, "params": params}
    for count, call in (
        (frame + 1 + statements.apart, lambda: api.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"})),
        (frame + 3 * statements.apart, lambda: api.post("runs/log-metric", {"run_id": run_id, **point})),
        (frame + 4 * statements.apart, lambda: api.post("runs/log-batch", {"run_id": run_id, **batch})),
        (frame + 1 + 2 * statements.apart, lambda: api.post("runs/create", {"experiment_id": experiment})),
    ):
        with django_assert_num_queries(count):
            call()
