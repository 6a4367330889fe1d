"""Traces: written, found, tagged, assessed and deleted by who may, and hidden from everybody else."""

from __future__ import annotations

import io

import pytest

from artifacts.models import ArtifactFile
from core.access import grant
from core.errors import AlreadyExists, Denied, Invalid, NotFound
from core.models import AuditEvent
from tests.cast import actor
from tracking import trace_search, traces
from tracking.commands import experiments, files, runs
from tracking.models import Experiment, Trace, TraceAssessment, TraceState
from tracking.traces import ARTIFACT_LOCATION_TAG, PROMPTS_TAG, TraceDescription


def described(experiment: int, name: str = "tr-1", **more) -> TraceDescription:
    return TraceDescription(trace_id=name, experiment_id=experiment, **{"request_ms": 1000, "state": TraceState.OK, **more})


@pytest.fixture
def found(dana, experiment):
    def search(text: str | None = None, order_by: list[str] | None = None, who=dana) -> str:
        page = trace_search.traces(actor(who), experiment_ids=[experiment], filter_text=text, order_by=order_by, limit=50)
        return " ".join(record.trace_id for record in page)

    return search


@pytest.fixture
def three(dana, experiment) -> None:
    for name, more in {
        "tr-1": {"execution_ms": 5, "tags": {"mlflow.traceName": "load", "k": "v"}, "metadata": {"mlflow.sourceRun": "r1"}},
        "tr-2": {"request_ms": 2000, "execution_ms": 50, "state": TraceState.ERROR, "tags": {"mlflow.traceName": "ask"}},
        "tr-3": {"request_ms": 3000, "client_request_id": "mine"},
    }.items():
        traces.log_trace(actor=actor(dana), trace=described(experiment, name, **more))


def test_a_trace_is_written_once_and_brought_up_to_date(dana, experiment) -> None:
    for text in ("first", "second"):
        traces.log_trace(actor=actor(dana), trace=described(experiment, response_preview=text, tags={"k": text}))
    record = trace_search.trace(actor(dana), "tr-1")
    assert (record.response_preview, record.state, Trace.objects.count()) == ("second", "OK", 1)
    assert record.tags == {"k": "second", ARTIFACT_LOCATION_TAG: f"mlflow-artifacts:/{experiment}/traces/tr-1/artifacts"}
    assert AuditEvent.objects.filter(action="trace.logged", subject_id="tr-1").count() == 2


def test_the_server_alone_says_where_the_spans_are(dana, experiment) -> None:
    elsewhere = {ARTIFACT_LOCATION_TAG: "http://elsewhere/x", "mlflow.trace.spansLocation": "TRACKING_STORE"}
    traces.log_trace(actor=actor(dana), trace=described(experiment, tags=elsewhere))
    tags = trace_search.trace(actor(dana), "tr-1").tags
    assert list(tags) == [ARTIFACT_LOCATION_TAG] and tags[ARTIFACT_LOCATION_TAG].startswith("mlflow-artifacts:/")
    for key in elsewhere:
        with pytest.raises(Invalid, match="kept by the server"):
            traces.set_trace_tag(actor=actor(dana), trace_id="tr-1", key=key, value="x")
        with pytest.raises(Invalid, match="kept by the server"):
            traces.delete_trace_tag(actor=actor(dana), trace_id="tr-1", key=key)


@pytest.mark.parametrize(
    "wrong",
    [{"trace_id": "../x"}, {"trace_id": ""}, {"request_ms": -1}, {"request_ms": 1 << 62}, {"tags": {"k" * 251: "v"}}, {"tags": {"k": "v" * 100_001}}],
)  # fmt: skip
def test_what_cannot_be_a_trace_is_refused(dana, experiment, wrong) -> None:
    given = {"name": wrong.pop("trace_id")} if "trace_id" in wrong else wrong
    with pytest.raises(Invalid):
        traces.log_trace(actor=actor(dana), trace=described(experiment, **given))
    assert not Trace.objects.exists()


def test_an_id_belongs_to_one_experiment(dana, experiment) -> None:
    traces.log_trace(actor=actor(dana), trace=described(experiment))
    other = experiments.create_experiment(actor=actor(dana), name="other")
    with pytest.raises(AlreadyExists):
        traces.log_trace(actor=actor(dana), trace=described(other))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "tr-3 tr-2 tr-1"),
        ("status = 'OK'", "tr-3 tr-1"),
        ("trace.state != 'OK'", "tr-2"),
        ("timestamp_ms > 1000 AND attributes.execution_time_ms >= 50", "tr-2"),
        ("end_time < 2000", "tr-1"),
        ("name = 'load'", "tr-1"),
        ("name IN ('load', 'ask')", "tr-2 tr-1"),
        ("tags.k = 'v'", "tr-1"),
        ("tags.`mlflow.traceName` IS NULL", "tr-3"),
        ("metadata.`mlflow.sourceRun` = 'r1'", "tr-1"),
        ("request_metadata.`mlflow.sourceRun` IS NULL", "tr-3 tr-2"),
        ("run_id = 'r1'", "tr-1"),
        ("client_request_id = 'mine'", "tr-3"),
        ("request_id IN ('tr-1', 'tr-9')", "tr-1"),
    ],
)
def test_filters_find_traces(three, found, text: str, names: str) -> None:
    assert found(text) == names


def test_orders_put_what_is_missing_last(three, found) -> None:
    assert found(order_by=["timestamp_ms ASC"]) == "tr-1 tr-2 tr-3"
    assert found(order_by=["execution_time_ms DESC"]) == "tr-2 tr-1 tr-3"
    assert found(order_by=["name"]) == "tr-2 tr-1 tr-3"
    for wrong in (["tags.k"], ["client_request_id"], ["nope"]):
        with pytest.raises(Invalid):
            found(order_by=wrong)
    for text in ("span.name = 'x'", "feedback.good = 'x'", "experiment_id = '1'", "nope = 'x'"):
        with pytest.raises(Invalid):
            found(text)


def test_a_linked_run_finds_the_trace_too(dana, mallory, three, found, experiment) -> None:
    run_id = runs.create_run(actor=actor(dana), experiment_id=experiment).run_id
    for _ in range(2):
        traces.link_traces_to_run(actor=actor(dana), run_id=run_id, trace_ids=["tr-2", "tr-2"])
    assert found(f"run_id = '{run_id}'") == "tr-2"
    with pytest.raises(NotFound):
        traces.link_traces_to_run(actor=actor(dana), run_id=run_id, trace_ids=["tr-9"])
    with pytest.raises(NotFound):
        traces.link_traces_to_run(actor=actor(mallory), run_id=run_id, trace_ids=["tr-2"])


def test_linked_prompts_are_added_to_the_tag(dana, three) -> None:
    traces.set_trace_tag(actor=actor(dana), trace_id="tr-1", key=PROMPTS_TAG, value="no list")
    for version in ("1", "2", "1"):
        traces.link_prompts_to_trace(actor=actor(dana), trace_id="tr-1", prompts=[("p", version)])
    tags = trace_search.trace(actor(dana), "tr-1").tags
    assert tags[PROMPTS_TAG] == '[{"name":"p","version":"1"},{"name":"p","version":"2"}]'


def test_tags_are_set_and_removed_by_who_may_write(dana, mallory, three, found, experiment) -> None:
    traces.set_trace_tag(actor=actor(dana), trace_id="tr-1", key="k", value="w")
    assert found("tags.k = 'w'") == "tr-1"
    with pytest.raises(NotFound):
        traces.set_trace_tag(actor=actor(mallory), trace_id="tr-1", key="k", value="x")
    grant(Experiment.objects.get(pk=experiment), "experiment_read", users=[mallory.pk])
    with pytest.raises(Denied):
        traces.set_trace_tag(actor=actor(mallory), trace_id="tr-1", key="k", value="x")
    traces.delete_trace_tag(actor=actor(dana), trace_id="tr-1", key="k")
    with pytest.raises(NotFound):
        traces.delete_trace_tag(actor=actor(dana), trace_id="tr-1", key="k")


def test_an_outsider_finds_nothing(three, found, mallory) -> None:
    assert found(who=mallory) == ""
    with pytest.raises(NotFound):
        trace_search.trace(actor(mallory), "tr-1")


def test_what_is_deleted_takes_its_spans_and_assessments_along(
    dana, mallory, three, found, experiment, settings, tmp_path
) -> None:
    settings.ARTIFACT_ROOT = str(tmp_path)
    for name in ("tr-1", "tr-2"):
        path = f"{experiment}/traces/{name}/artifacts/traces.json"
        files.put_artifact(actor=actor(dana), path=path, stream=io.BytesIO(b"{}"), expected_bytes=2)
    traces.assess(actor=actor(dana), trace_id="tr-1", body={"assessment_name": "a", "feedback": {"value": True}})
    with pytest.raises(NotFound):
        traces.delete_traces(actor=actor(mallory), experiment_id=experiment, trace_ids=["tr-1"])
    assert traces.delete_traces(actor=actor(dana), experiment_id=experiment, trace_ids=["tr-1", "tr-9"]) == 1
    assert (found(), ArtifactFile.objects.count(), TraceAssessment.objects.count()) == ("tr-3 tr-2", 1, 0)
    assert traces.delete_traces(actor=actor(dana), experiment_id=experiment, before_ms=3000, most=1) == 1
    assert (found(), ArtifactFile.objects.count()) == ("tr-3", 0)
    for wrong in ({}, {"trace_ids": ["tr-3"], "before_ms": 1}, {"trace_ids": ["tr-3"], "most": 1}, {"before_ms": 1, "most": 0}):
        with pytest.raises(Invalid):
            traces.delete_traces(actor=actor(dana), experiment_id=experiment, **wrong)
    assert AuditEvent.objects.filter(action="trace.deleted").count() == 2


def test_an_assessment_that_is_overridden_no_longer_counts_until_its_successor_is_gone(dana, three) -> None:
    body = {"assessment_name": "good", "feedback": {"value": False}}
    first = traces.assess(actor=actor(dana), trace_id="tr-1", body=body)
    second = traces.assess(actor=actor(dana), trace_id="tr-1", body={**body, "overrides": first})
    held = trace_search.trace(actor(dana), "tr-1").assessments
    assert {item.assessment_id: item.valid for item in held} == {first: False, second: True}
    traces.change_assessment(actor=actor(dana), trace_id="tr-1", assessment_id=second, changes={"rationale": "since"})
    assert trace_search.assessment(actor(dana), "tr-1", second).body["rationale"] == "since"
    traces.delete_assessment(actor=actor(dana), trace_id="tr-1", assessment_id=second)
    assert [item.valid for item in trace_search.trace(actor(dana), "tr-1").assessments] == [True]


def test_an_assessment_is_refused_to_strangers_and_where_it_makes_no_sense(dana, mallory, three) -> None:
    body = {"assessment_name": "good", "feedback": {"value": 1}}
    kept = traces.assess(actor=actor(dana), trace_id="tr-1", body=body)
    for wrong in ({}, {"assessment_name": "x"}, {**body, "expectation": {"value": 1}}, {**body, "rationale": "x" * 1_000_001}):
        with pytest.raises(Invalid):
            traces.assess(actor=actor(dana), trace_id="tr-1", body=wrong)
    with pytest.raises(NotFound):
        traces.assess(actor=actor(dana), trace_id="tr-1", body={**body, "overrides": "a-other"})
    with pytest.raises(NotFound):
        traces.assess(actor=actor(mallory), trace_id="tr-1", body=body)
    for trace_id in ("tr-2", "tr-9"):
        with pytest.raises(NotFound):
            traces.delete_assessment(actor=actor(dana), trace_id=trace_id, assessment_id=kept)
    assert TraceAssessment.objects.count() == 1
