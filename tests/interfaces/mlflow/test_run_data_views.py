"""What is logged to a run over the protocol."""

from __future__ import annotations

import json


def test_a_metric_names_its_data_set_whole(api, run_id) -> None:
    point = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
    api.post("runs/log-metric", {**point, "dataset_name": "d"}, 400)
    api.post("runs/log-metric", {**point, "dataset_name": "d", "dataset_digest": "x"})


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
