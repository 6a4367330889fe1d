"""Histories of metrics over the protocol."""

from __future__ import annotations


def test_history_is_paged_and_the_last_full_page_has_no_token(api, run_id) -> None:
    points = [{"key": "m", "value": n, "timestamp": n} for n in range(4)]
    api.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    first = api.get("metrics/get-history", run_id=run_id, metric_key="m", max_results=2)
    second = api.get("metrics/get-history", run_id=run_id, metric_key="m", max_results=2, page_token=first["next_page_token"])
    assert [p["value"] for p in first["metrics"] + second["metrics"]] == [0, 1, 2, 3]
    assert "next_page_token" not in second
    whole = api.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id=[run_id], metric_key="m")
    assert [p["run_id"] for p in whole["metrics"]] == [run_id] * 4
    bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    assert api.get(bulk, run_id=[run_id], metric_key="m", max_results=0) == {"metrics": []}
    api.get(bulk, 400, run_id=[run_id], metric_key="m", max_results=-1)
    api.get(bulk, 400, run_id=[run_id] * 101, metric_key="m")
    sampled = api.get("metrics/get-history-bulk-interval", run_ids=[run_id], metric_key="m", max_results=1)
    assert sampled["metrics"]
    api.get("metrics/get-history-bulk-interval", 400, run_ids=[run_id], metric_key="m", start_step=1)


def test_nan_stands_where_zero_would_in_a_history(api, run_id) -> None:
    values = (1, "NaN", 2, "Infinity", -1)
    points = [{"key": "n", "value": value, "timestamp": 1, "step": 1} for value in values]
    api.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    most = 1.7976931348623157e308
    for path, names in (
        ("/ajax-api/2.0/mlflow/metrics/get-history-bulk", {"run_id": run_id}),
        ("metrics/get-history", {"run_id": run_id}),
        ("metrics/get-history-bulk-interval", {"run_ids": run_id}),
    ):
        found = api.get(path, metric_key="n", **names)["metrics"]
        assert [point["value"] for point in found] == [-1, "NaN", 1, 2, most], path
