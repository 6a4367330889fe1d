"""Runs over the protocol: how they are printed, found, named and tagged."""

from __future__ import annotations


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


def test_tags_of_a_new_run_may_have_any_sign_and_later_ones_not(api, experiment, run_id) -> None:
    api.post("runs/create", {"experiment_id": experiment, "tags": [{"key": "a,b$", "value": "1"}]})
    api.post("runs/set-tag", {"run_id": run_id, "key": "a,b$", "value": "1"}, 400)


def test_where_the_old_name_of_an_id_was_never_known_it_names_nothing(api, run_id) -> None:
    api.post("runs/delete", {"run_uuid": run_id}, 404)
    api.post("runs/log-parameter", {"run_uuid": run_id, "key": "p", "value": "1"})


def test_the_outputs_of_a_run_are_found_by_its_new_name_alone(api, experiment, run_id) -> None:
    model_id = api.post("logged-models", {"experiment_id": experiment, "name": "m"})["model"]["info"]["model_id"]
    models = {"models": [{"model_id": model_id, "step": 1}]}
    api.post("runs/outputs", {"run_uuid": run_id, **models}, 404)
    api.post("runs/outputs", {"run_id": "", "run_uuid": run_id, **models}, 400)
    api.post("runs/outputs", models, 400)
    api.post("runs/outputs", {"runId": run_id, "run_uuid": run_id, **models})


def test_a_long_tag_is_kept_whole_by_a_new_run_and_cut_later(api, experiment) -> None:
    def length(run_id: str) -> int:
        return next(len(tag["value"]) for tag in api.get("runs/get", run_id=run_id)["run"]["data"]["tags"] if tag["key"] == "k")

    made = api.post("runs/create", {"experiment_id": experiment, "tags": [{"key": "k", "value": "v" * 100_000}]})
    run_id = made["run"]["info"]["run_id"]
    assert length(run_id) == 100_000
    api.post("runs/set-tag", {"run_id": run_id, "key": "k", "value": "v" * 8001})
    assert length(run_id) == 8000
    api.post("runs/create", {"experiment_id": experiment, "tags": [{"key": "k", "value": "v" * 100_001}]}, 400)


def test_an_empty_id_is_refused_even_beside_the_old_name(api, run_id) -> None:
    for path, more in (
        ("runs/update", {"status": "FINISHED"}),
        ("runs/set-tag", {"key": "k", "value": "v"}),
        ("runs/log-parameter", {"key": "p", "value": "v"}),
    ):
        api.post(path, {"run_id": "", "run_uuid": run_id, **more}, 400)
        api.post(path, {"run_id": None, "run_uuid": run_id, **more})
    for path, more in (("runs/get", {}), ("artifacts/list", {}), ("metrics/get-history", {"metric_key": "m"})):
        api.get(path, 400, run_id="", run_uuid=run_id, **more)
        api.get(path, run_uuid=run_id, **more)


def test_beside_the_old_name_the_new_one_is_read_in_both_spellings(api, run_id) -> None:
    api.post("runs/log-batch", {"runId": run_id}, 400)
    api.post("runs/log-batch", {"runId": run_id, "run_uuid": run_id})
    api.post("runs/update", {"runId": "0" * 32, "run_uuid": run_id, "status": "FINISHED"}, 404)
    api.post("runs/delete", {"runId": run_id, "run_uuid": run_id})


def test_a_batch_for_what_cannot_be_an_id_is_refused_as_malformed(api) -> None:
    for path in ("runs/log-batch", "runs/log-inputs"):
        for wrong in ("..", " ", "é"):
            assert api.post(path, {"run_id": wrong}, 400)["error_code"] == "INVALID_PARAMETER_VALUE"
        api.post(path, {"run_id": "0" * 32}, 404)


def test_a_time_of_which_json_has_no_number_is_kept_all_the_same(api, run_id) -> None:
    for end in (2**53 - 1, 2**53, 2**63 - 1):
        api.post("runs/update", {"run_id": run_id, "end_time": end})
        assert api.get("runs/get", run_id=run_id)["run"]["info"]["end_time"] == end
