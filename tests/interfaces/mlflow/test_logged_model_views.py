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
    again = api.post(f"logged-models/{model_id}/params", {"model_id": model_id, "params": [{"key": "p", "value": "2"}]}, 400)
    assert again["error_code"] == "BAD_REQUEST"
    api.delete(f"logged-models/{model_id}")
    api.get(f"logged-models/{model_id}", 404)
    assert api.get(f"logged-models/{model_id}", allow_deleted="true")


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
