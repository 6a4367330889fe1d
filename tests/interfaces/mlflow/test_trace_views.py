"""Traces over the protocol: what both generations of clients send and read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interfaces.mlflow.conftest import Caller

NEW, OLD = "/api/3.0/mlflow/traces", "/api/2.0/mlflow/traces"


def info(experiment: str, **more: Any) -> dict[str, Any]:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    described = {
        "trace_id": "tr-1",
        "trace_location": place,
        "request_time": "2026-01-31T12:00:00.123Z",
        "execution_duration": "1.5s",
        "state": "OK",
        "request_preview": "{}",
        "trace_metadata": {"mlflow.traceInputs": "{}"},
        "tags": {"k": "v"},
    }
    return {"trace": {"trace_info": {**described, **more}, "spans": []}}


def test_a_trace_reads_back_as_it_was_written(api, experiment) -> None:
    written = api.post(NEW, info(experiment))["trace"]["trace_info"]
    assert api.get(f"{NEW}/tr-1") == {"trace": {"trace_info": written}}
    location = f"mlflow-artifacts:/{experiment}/traces/tr-1/artifacts"
    assert written == {
        **info(experiment)["trace"]["trace_info"],
        "execution_duration": "1.500s",
        "tags": {"k": "v", "mlflow.artifactLocation": location},
    }
    listed = {"locations": [info(experiment)["trace"]["trace_info"]["trace_location"]], "filter": "status = 'OK'"}
    assert api.post(f"{NEW}/search", listed) == {"traces": [written]}
    assert api.post(f"{NEW}/batchGetInfos", {"trace_ids": ["tr-9", "tr-1"]}) == {"trace_infos": [written]}
    assert api.post(f"{NEW}/batchGetInfos", {"trace_ids": ["tr-1"], "experiment_ids": []}) == {}


def test_an_old_client_begins_and_ends_a_trace(api, experiment) -> None:
    tags = [{"key": "k", "value": "v"}]
    begun = api.post(OLD, {"experiment_id": experiment, "timestamp_ms": 1000, "request_metadata": tags, "tags": tags})[
        "trace_info"
    ]
    trace_id = begun["request_id"]
    assert (begun["status"], begun["timestamp_ms"], "execution_time_ms" in begun) == ("IN_PROGRESS", 1000, False)
    ended = api.patch(f"{OLD}/{trace_id}", {"request_id": trace_id, "timestamp_ms": 1250, "status": "OK"})["trace_info"]
    assert (ended["status"], ended["execution_time_ms"], ended["request_metadata"]) == ("OK", 250, tags)
    assert api.get(f"{OLD}/{trace_id}/info", request_id=trace_id) == {"trace_info": ended}
    assert api.get(OLD, experiment_ids=[experiment], filter="status = 'OK'") == {"traces": [ended]}
    api.patch(f"{OLD}/{trace_id}/tags", {"key": "k", "value": "w"})
    api.delete(f"{OLD}/{trace_id}/tags", {"key": "k"})
    api.delete(f"{OLD}/{trace_id}/tags", {"key": "k"}, 404)
    assert api.post(f"{OLD}/delete-traces", {"experiment_id": experiment, "request_ids": [trace_id]}) == {"traces_deleted": 1}
    api.get(f"{OLD}/{trace_id}/info", 404)


def test_pages_of_traces_follow_one_another(api, experiment) -> None:
    for number in range(3):
        api.post(NEW, info(experiment, trace_id=f"tr-{number}", request_time=f"2026-01-31T12:00:0{number}Z"))
    query: dict[str, Any] = {"locations": [{"mlflow_experiment": {"experiment_id": experiment}}], "max_results": 2}
    first = api.post(f"{NEW}/search", query)
    second = api.post(f"{NEW}/search", {**query, "page_token": first["next_page_token"]})
    assert [t["trace_id"] for page in (first, second) for t in page["traces"]] == ["tr-2", "tr-1", "tr-0"]
    assert "next_page_token" not in second


def test_an_assessment_is_given_changed_and_taken_back(api, experiment) -> None:
    api.post(NEW, info(experiment))
    given = {"assessment_name": "good", "trace_id": "tr-1", "feedback": {"value": True}, "source": {"source_type": "HUMAN"}}
    made = api.post(f"{NEW}/tr-1/assessments", {"assessment": given})["assessment"]
    assert {**given, "valid": True}.items() <= made.items()
    place = f"{NEW}/tr-1/assessments/{made['assessment_id']}"
    assert api.get(place) == {"assessment": made}
    changed = api.patch(place, {"assessment": {"feedback": {"value": False}}, "update_mask": "feedback"})["assessment"]
    assert changed["feedback"] == {"value": False}
    assert api.get(f"{NEW}/tr-1")["trace"]["trace_info"]["assessments"] == [changed]
    api.patch(place, {"assessment": {"feedback": {"value": 1}}}, 400)
    api.patch(place, {"assessment": {}, "update_mask": "valid"}, 400)
    api.post(f"{NEW}/tr-1/assessments", {"assessment": {**given, "trace_id": "tr-2"}}, 400)
    api.post(f"{NEW}/tr-1/assessments", {"assessment": {**given, "feedback": "x"}}, 400)
    api.delete(place)
    api.get(place, 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trace_id": ""},
        {"trace_id": "a/b"},
        {"request_time": "yesterday"},
        {"request_time": "2026-01-31T12:00:00"},
        {"execution_duration": "soon"},
        {"state": "FINE"},
        {"tags": {"k": 5}},
        {"trace_location": {"type": "INFERENCE_TABLE"}},
        {"trace_location": {"mlflow_experiment": {"experiment_id": "x"}}},
    ],
)
def test_a_trace_that_makes_no_sense_is_400(api, experiment, wrong) -> None:
    assert api.post(NEW, info(experiment, **wrong), 400)["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_stranger_is_told_of_no_trace(api, mallory, experiment) -> None:
    api.post(NEW, info(experiment))
    other = Caller(mallory)
    other.get(f"{NEW}/tr-1", 404)
    other.post(NEW, info(experiment), 404)
    other.post(f"{NEW}/tr-1/assessments", {"assessment": {"assessment_name": "a", "feedback": {}}}, 404)
    assert other.post(f"{NEW}/search", {"locations": [{"mlflow_experiment": {"experiment_id": experiment}}]}) == {}
    assert other.post(f"{NEW}/batchGetInfos", {"trace_ids": ["tr-1"]}) == {}


def test_single_spans_are_refused_in_the_words_the_client_knows(api) -> None:
    answer = api.post("/v1/traces", "", 501)
    assert answer["message"].startswith("REST OTLP span logging is not supported")


def test_statements_for_a_page_do_not_grow_with_it(api, experiment, django_assert_num_queries) -> None:
    query = {"locations": [{"mlflow_experiment": {"experiment_id": experiment}}]}
    for number in range(3):
        api.post(NEW, info(experiment, trace_id=f"tr-{number}"))
        with django_assert_num_queries(2):  # who asks, and the page
            assert len(api.post(f"{NEW}/search", query)["traces"]) == number + 1
