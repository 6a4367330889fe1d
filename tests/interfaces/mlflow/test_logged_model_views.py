"""Logged models over the protocol: made, filled, found and deleted."""

from __future__ import annotations


def test_a_logged_model_is_made_filled_and_found(api, experiment, run_id) -> None:
    made = api.post("logged-models", {"experiment_id": experiment, "name": "m", "params": [{"key": "p", "value": "1"}]})["model"]
    model_id = made["info"]["model_id"]
    assert (made["info"]["status"], made["info"]["model_type"]) == ("LOGGED_MODEL_PENDING", "")
    ready = api.patch(f"logged-models/{model_id}", {"model_id": model_id, "status": 2})["model"]
    assert ready["info"]["status"] == "LOGGED_MODEL_READY"
    api.patch(f"logged-models/{model_id}", {"status": 2}, 400)
    api.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": 4}]})
    assert api.get("runs/get", run_id=run_id)["run"]["outputs"] == {"model_outputs": [{"model_id": model_id, "step": 4}]}
    twice = api.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": 5}]}, 400)
    assert twice["error_code"] == "BAD_REQUEST"
    assert api.get("runs/get", run_id=run_id)["run"]["outputs"] == {"model_outputs": [{"model_id": model_id, "step": 4}]}
    again = api.post(f"logged-models/{model_id}/params", {"model_id": model_id, "params": [{"key": "p", "value": "2"}]}, 400)
    assert again["error_code"] == "BAD_REQUEST"
    api.delete(f"logged-models/{model_id}")
    api.get(f"logged-models/{model_id}", 404)
    assert api.get(f"logged-models/{model_id}", allow_deleted="true")
    # As on MLflow's server, one that was deleted meanwhile takes what a run still says of it.
    api.patch(f"logged-models/{model_id}/tags", {"tags": [{"key": "late", "value": "yes"}]})
    api.post("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "model_id": model_id})
    kept = api.get(f"logged-models/{model_id}", allow_deleted="true")["model"]
    assert kept["info"]["tags"] == [{"key": "late", "value": "yes"}]
    assert [metric["key"] for metric in kept["data"]["metrics"]] == ["m"]


def test_a_token_of_logged_models_is_bound_to_its_query(api, experiment) -> None:
    for _ in range(3):
        api.post("logged-models", {"experiment_id": experiment})
    query = {"experiment_ids": [experiment], "max_results": 2}
    token = api.post("logged-models/search", query)["next_page_token"]
    assert len(api.post("logged-models/search", {**query, "page_token": token})["models"]) == 1
    api.post("logged-models/search", {**query, "page_token": token, "filter": "name != 'x'"}, 400)


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


def test_models_are_found_by_location_stage_and_message(api, experiment) -> None:
    for name in ("a", "b"):
        api.post("logged-models", {"experiment_id": experiment, "name": name})

    def found(**query) -> list[str]:
        models = api.post("logged-models/search", {"experiment_ids": [experiment], **query}).get("models", [])
        return sorted(model["info"]["name"] for model in models)

    for condition in ("artifact_location LIKE '%/models/%'", "lifecycle_stage = 'active'", "lifecycle_stage ILIKE 'ACT%'"):
        assert found(filter=condition) == ["a", "b"], condition
    for condition in (
        "lifecycle_stage = 'deleted'",
        "status_message LIKE '%'",
        "status_message != 'x'",
        "artifact_location = 'x'",
    ):
        assert found(filter=condition) == [], condition
    for key in ("artifact_location", "lifecycle_stage", "status_message"):
        assert found(order_by=[{"field_name": key, "ascending": False}]) == ["a", "b"], key


def test_a_point_of_a_model_is_measured_once(api, experiment, run_id) -> None:
    model_id = api.post("logged-models", {"experiment_id": experiment, "name": "m"})["model"]["info"]["model_id"]
    point = {"run_id": run_id, "key": "acc", "value": 1, "timestamp": 1, "model_id": model_id}
    data_set = {"dataset_name": "d", "dataset_digest": "x"}
    api.post("runs/log-metric", point)
    api.post("runs/log-metric", point)
    for other in ({"value": 2}, data_set):
        assert api.post("runs/log-metric", {**point, **other}, 400)["error_code"] == "BAD_REQUEST"
        assert api.post("runs/log-batch", {"run_id": run_id, "metrics": [{**point, **other}]}, 400)["error_code"] == "BAD_REQUEST"
        two = [{**point, "step": 7}, {**point, "step": 7, **other}]
        assert api.post("runs/log-batch", {"run_id": run_id, "metrics": two}, 400)["error_code"] == "BAD_REQUEST"
    for other in ({"step": 1, **data_set}, {"timestamp": 2, "value": 2}, {"key": "f1", "value": 3}, {"model_id": "", "value": 4}):
        api.post("runs/log-metric", {**point, **other})
    metrics = api.get(f"logged-models/{model_id}")["model"]["data"]["metrics"]
    assert sorted((item["key"], item["value"]) for item in metrics) == [("acc", 1.0), ("acc", 1.0), ("acc", 2.0), ("f1", 3.0)]
