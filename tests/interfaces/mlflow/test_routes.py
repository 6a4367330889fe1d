"""Every route of the dialect: without a token, as someone who may see nothing, and as someone who may.

A new route has to be given its case here, or the first test fails.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from artifacts.uploads import receive_part
from core.models import AuditEvent, User
from interfaces.mlflow.dispatch import TABLE
from interfaces.mlflow.routing import Route
from registry import commands as registry_commands
from tests.cast import actor, bearer, person
from tests.webhooks.conftest import Receiver
from tests.workflows.conftest import build
from tracking import logged_models, traces, uploads
from tracking.commands import experiments, files, lineage, run_data, runs
from tracking.commands.lineage import DatasetInput
from tracking.points import MetricPoint
from webhooks.commands import create_endpoint
from workflows.commands import catalog, discussion
from workflows.models import ThreadAnchor

pytestmark = pytest.mark.django_db

Values = dict[str, str]
CLIENT = Client()


@dataclass(frozen=True)
class Case:
    """A request that succeeds for ``who``. ``$name`` stands for a value, which is of something hidden or of something absent.

    fields: of the message, or of the query string where the route has none. at: the parameters of the path. body: sent as it
    is, in place of a message. for_all: it tells nothing of any object, so that everyone who is let in gets the same answer.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    who: str = "dana"
    for_all: int = 0


TAG = {"key": "a", "value": "b"}
OF_MODEL, OF_VERSION = {"name": "$model"}, {"name": "$model", "version": "1"}
OF_RUN, OF_EXPERIMENT = {"run_id": "$run"}, {"experiment_id": "$experiment"}
OF_REQUEST = {"name": "$governed", "version": "1", "stage": "Production"}
AT_MODEL = {"model_id": "$model_id"}
AT_FILE, AT_ROOT = {"path": "$root/note.txt"}, {"path": "$root"}
AT_TRACE, AT_ASSESSMENT = {"trace_id": "$trace"}, {"trace_id": "$trace", "assessment_id": "$assessment"}
FEEDBACK = {"assessment_name": "good", "feedback": {"value": True}, "source": {"source_type": "HUMAN", "source_id": "x"}}
HOOK = {"name": "ci", "url": "$url", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]}
DATABRICKS_HOOK = {"model_name": "$model", "events": ["MODEL_VERSION_CREATED"], "http_url_spec": {"url": "$url"}}
AT_HOOK, RIGHTS = {"webhook_id": "$any_hook"}, {"access_control_list": [{"user_name": "dana", "permission_level": "CAN_MANAGE"}]}
NOT_HERE = 400  # as from an MLflow server that keeps the artifacts itself
NO_TICKET = 403

CASES: dict[str, Case] = {
    # experiments
    "POST mlflow/experiments/create": Case({"name": "another"}),
    "GET mlflow/experiments/get": Case(OF_EXPERIMENT),
    "GET mlflow/experiments/get-by-name": Case({"experiment_name": "$experiment_name"}),
    "GET mlflow/experiments/search": Case({"max_results": 10, "filter": "name LIKE '%experiment'"}),
    "POST mlflow/experiments/search": Case({"max_results": 10, "filter": "name LIKE '%experiment'"}),
    "POST mlflow/experiments/update": Case({**OF_EXPERIMENT, "new_name": "renamed"}),
    "POST mlflow/experiments/delete": Case(OF_EXPERIMENT),
    "POST mlflow/experiments/restore": Case({"experiment_id": "$gone_experiment"}),
    "POST mlflow/experiments/set-experiment-tag": Case({**OF_EXPERIMENT, **TAG}),
    "POST mlflow/experiments/delete-experiment-tag": Case({**OF_EXPERIMENT, "key": "team"}),
    "POST mlflow/experiments/search-datasets": Case({"experiment_ids": ["$experiment"]}),
    # runs
    "POST mlflow/runs/create": Case(OF_EXPERIMENT),
    "GET mlflow/runs/get": Case(OF_RUN),
    "POST mlflow/runs/update": Case({**OF_RUN, "status": "FINISHED", "end_time": 5}),
    "POST mlflow/runs/delete": Case(OF_RUN),
    "POST mlflow/runs/restore": Case({"run_id": "$gone_run"}),
    "POST mlflow/runs/search": Case({"experiment_ids": ["$experiment"]}),
    "POST mlflow/runs/log-metric": Case({**OF_RUN, "key": "auc", "value": 0.5, "timestamp": 1}),
    "POST mlflow/runs/log-parameter": Case({**OF_RUN, **TAG}),
    "POST mlflow/runs/log-batch": Case({**OF_RUN, "params": [TAG], "tags": [TAG]}),
    "POST mlflow/runs/set-tag": Case({**OF_RUN, **TAG}),
    "POST mlflow/runs/delete-tag": Case({**OF_RUN, "key": "team"}),
    "POST mlflow/runs/log-inputs": Case(
        {**OF_RUN, "datasets": [{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}}]}
    ),
    "POST mlflow/runs/outputs": Case({**OF_RUN, "models": [{"model_id": "$model_id", "step": 0}]}),
    "POST mlflow/runs/log-model": Case(
        {**OF_RUN, "model_json": json.dumps({"artifact_path": "m", "flavors": {}, "run_id": "x", "utc_time_created": "x"})}
    ),
    "GET mlflow/metrics/get-history": Case({**OF_RUN, "metric_key": "loss"}),
    "GET mlflow/metrics/get-history-bulk": Case({**OF_RUN, "metric_key": "loss"}),
    "GET mlflow/metrics/get-history-bulk-interval": Case({"run_ids": ["$run"], "metric_key": "loss"}),
    # logged models
    "POST mlflow/logged-models": Case(OF_EXPERIMENT),
    "POST mlflow/logged-models/search": Case({"experiment_ids": ["$experiment"]}),
    "GET mlflow/logged-models/{model_id}": Case(at=AT_MODEL),
    "PATCH mlflow/logged-models/{model_id}": Case({"model_id": "$model_id", "status": "LOGGED_MODEL_READY"}, AT_MODEL),
    "DELETE mlflow/logged-models/{model_id}": Case(at=AT_MODEL),
    "PATCH mlflow/logged-models/{model_id}/tags": Case({"tags": [TAG]}, AT_MODEL),
    "DELETE mlflow/logged-models/{model_id}/tags/{key}": Case(at={**AT_MODEL, "key": "team"}),
    "POST mlflow/logged-models/{model_id}/params": Case({"model_id": "$model_id", "params": [TAG]}, AT_MODEL),
    "GET mlflow/logged-models/{model_id}/artifacts/directories": Case(at=AT_MODEL),
    "GET mlflow/logged-models/{model_id}/artifacts/files": Case({"artifact_file_path": "MLmodel"}, AT_MODEL),
    # files
    "GET mlflow-artifacts/artifacts": Case({"path": "$root"}),
    "PUT mlflow-artifacts/artifacts/<path>": Case(at=AT_FILE, body=b"new"),
    "GET mlflow-artifacts/artifacts/<path>": Case(at=AT_FILE),
    "DELETE mlflow-artifacts/artifacts/<path>": Case(at=AT_FILE),
    "POST mlflow-artifacts/mpu/create/<path>": Case(at=AT_ROOT, body=json.dumps({"path": "big.bin"}).encode()),
    "POST mlflow-artifacts/mpu/complete/<path>": Case(
        at=AT_ROOT, body=b'{"path": "big.bin", "upload_id": "$upload", "parts": [{"part_number": 1, "etag": "$etag"}]}'
    ),
    "POST mlflow-artifacts/mpu/abort/<path>": Case(at=AT_ROOT, body=b'{"path": "big.bin", "upload_id": "$upload"}'),
    "PUT mlflow-artifacts/mpu/parts/{upload_id}/{number}": Case(at={"upload_id": "$upload", "number": "1"}, for_all=NO_TICKET),
    "GET mlflow-artifacts/contents/{digest}/{name}": Case(at={"digest": "$etag", "name": "x"}, for_all=NO_TICKET),
    "GET mlflow-artifacts/presigned/<path>": Case(at=AT_FILE),
    "POST mlflow/artifacts/presigned-upload-url": Case(for_all=NOT_HERE),
    "POST mlflow/artifacts/presigned-download-url": Case(for_all=NOT_HERE),
    "GET mlflow/artifacts/list": Case(OF_RUN),
    "GET /get-artifact": Case({**OF_RUN, "path": "note.txt"}),
    "POST mlflow/upload-artifact": Case({"run_uuid": "$run", "path": "other.txt"}, body=b"new"),
    # the registry
    "POST mlflow/registered-models/create": Case({"name": "another"}),
    "GET mlflow/registered-models/get": Case(OF_MODEL),
    "PATCH mlflow/registered-models/update": Case({**OF_MODEL, "description": "x"}),
    "POST mlflow/registered-models/rename": Case({**OF_MODEL, "new_name": "renamed"}),
    "DELETE mlflow/registered-models/delete": Case(OF_MODEL),
    "GET mlflow/registered-models/search": Case(),
    "GET mlflow/registered-models/get-latest-versions": Case(OF_MODEL),
    "POST mlflow/registered-models/get-latest-versions": Case(OF_MODEL),
    "POST mlflow/registered-models/set-tag": Case({**OF_MODEL, **TAG}),
    "DELETE mlflow/registered-models/delete-tag": Case({**OF_MODEL, "key": "team"}),
    "POST mlflow/registered-models/alias": Case({**OF_VERSION, "alias": "other"}),
    "DELETE mlflow/registered-models/alias": Case({**OF_MODEL, "alias": "candidate"}),
    "GET mlflow/registered-models/alias": Case({**OF_MODEL, "alias": "candidate"}),
    "POST mlflow/model-versions/create": Case({**OF_MODEL, "source": "s3://bucket/other"}),
    "GET mlflow/model-versions/get": Case(OF_VERSION),
    "PATCH mlflow/model-versions/update": Case({**OF_VERSION, "description": "x"}),
    "DELETE mlflow/model-versions/delete": Case(OF_VERSION),
    "GET mlflow/model-versions/search": Case({"filter": "name = '$model'"}),
    "GET mlflow/model-versions/get-download-uri": Case(OF_VERSION),
    "POST mlflow/model-versions/transition-stage": Case({**OF_VERSION, "stage": "Staging", "archive_existing_versions": True}),
    "POST mlflow/model-versions/set-tag": Case({**OF_VERSION, **TAG}),
    "DELETE mlflow/model-versions/delete-tag": Case({**OF_VERSION, "key": "team"}),
    "GET /model-versions/get-artifact": Case({"name": "$governed", "version": "1", "path": "MLmodel"}),
    # Databricks' workspace registry
    "GET mlflow/registered-models/list": Case(),
    "GET mlflow/databricks/registered-models/get": Case(OF_MODEL),
    "POST mlflow/databricks/model-versions/transition-stage": Case(
        {**OF_VERSION, "stage": "Staging", "archive_existing_versions": False, "comment": "x"}
    ),
    "POST mlflow/transition-requests/create": Case({**OF_REQUEST, "stage": "Staging"}),
    "GET mlflow/transition-requests/list": Case({"name": "$governed", "version": "1"}),
    "POST mlflow/transition-requests/approve": Case({**OF_REQUEST, "archive_existing_versions": True}, who="ravi"),
    "POST mlflow/transition-requests/reject": Case({**OF_REQUEST, "comment": "Not yet."}, who="ravi"),
    "DELETE mlflow/transition-requests/delete": Case({**OF_REQUEST, "creator": "dana"}),
    "POST mlflow/comments/create": Case({**OF_VERSION, "comment": "x"}),
    "PATCH mlflow/comments/update": Case({"id": "$comment", "comment": "y"}),
    "DELETE mlflow/comments/delete": Case({"id": "$comment"}),
    "POST mlflow/registry-webhooks/create": Case(DATABRICKS_HOOK),
    "GET mlflow/registry-webhooks/list": Case({"model_name": "$model"}),
    "PATCH mlflow/registry-webhooks/update": Case({"id": "$hook", "description": "x"}),
    "POST mlflow/registry-webhooks/test": Case({"id": "$hook"}),
    "DELETE mlflow/registry-webhooks/delete": Case({"id": "$hook"}),
    "GET permissions/registered-models/{model_id}": Case(at={"model_id": "$model_pk"}),
    "GET permissions/registered-models/{model_id}/permissionLevels": Case(at={"model_id": "$model_pk"}),
    "PUT permissions/registered-models/{model_id}": Case(RIGHTS, at={"model_id": "$model_pk"}),
    "PATCH permissions/registered-models/{model_id}": Case(RIGHTS, at={"model_id": "$model_pk"}),
    # MLflow's webhooks, which are of the whole registry
    "POST mlflow/webhooks": Case(HOOK, who="pat"),
    "GET mlflow/webhooks": Case(who="pat"),
    "GET mlflow/webhooks/{webhook_id}": Case(at=AT_HOOK, who="pat"),
    "PATCH mlflow/webhooks/{webhook_id}": Case({"description": "x"}, AT_HOOK, who="pat"),
    "POST mlflow/webhooks/{webhook_id}/test": Case(at=AT_HOOK, who="pat"),
    "DELETE mlflow/webhooks/{webhook_id}": Case(at=AT_HOOK, who="pat"),
    # traces
    "POST mlflow/traces of 2.0": Case({**OF_EXPERIMENT, "timestamp_ms": 1}),
    "POST mlflow/traces of 3.0": Case(
        {
            "trace": {
                "trace_info": {
                    "trace_id": "tr-another",
                    "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "$experiment"}},
                    "request_time": "2026-01-31T12:00:00Z",
                }
            }
        }
    ),
    "GET mlflow/traces": Case({"experiment_ids": "$experiment"}),
    "PATCH mlflow/traces/{trace_id}": Case({"timestamp_ms": 5, "status": "OK"}, AT_TRACE),
    "GET mlflow/traces/{trace_id}/info": Case(at=AT_TRACE),
    "GET mlflow/traces/{trace_id}": Case(at=AT_TRACE),
    "POST mlflow/traces/search": Case(
        {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "$experiment"}}]}
    ),
    "POST mlflow/traces/batchGetInfos": Case({"trace_ids": ["$trace"]}),
    "POST mlflow/traces/delete-traces": Case({**OF_EXPERIMENT, "request_ids": ["$trace"]}),
    "POST mlflow/traces/link-to-run": Case({"trace_ids": ["$trace"], **OF_RUN}),
    "POST mlflow/traces/link-prompts": Case({"trace_id": "$trace", "prompt_versions": [{"name": "p", "version": "1"}]}),
    "PATCH mlflow/traces/{trace_id}/tags": Case(TAG, AT_TRACE),
    "DELETE mlflow/traces/{trace_id}/tags": Case({"key": "team"}, AT_TRACE),
    "POST mlflow/traces/{trace_id}/assessments": Case({"assessment": FEEDBACK}, AT_TRACE),
    "GET mlflow/traces/{trace_id}/assessments/{assessment_id}": Case(at=AT_ASSESSMENT),
    "PATCH mlflow/traces/{trace_id}/assessments/{assessment_id}": Case(
        {"assessment": {"feedback": {"value": False}}, "update_mask": "feedback"}, AT_ASSESSMENT
    ),
    "DELETE mlflow/traces/{trace_id}/assessments/{assessment_id}": Case(at=AT_ASSESSMENT),
    "POST /v1/traces": Case(for_all=501),
    # the server
    "GET /version": Case(for_all=200),
    "GET mlflow/server-info": Case(for_all=200),
}
# What a data scientist may do without any right on an object: it makes one of their own.
MAKES_ONES_OWN = {"POST mlflow/experiments/create", "POST mlflow/registered-models/create"}

ABSENT: Values = {
    "experiment": "987654",
    "gone_experiment": "987655",
    "experiment_name": "absent experiment",
    "run": "a" * 32,
    "gone_run": "c" * 32,
    "root": f"987654/{'a' * 32}/artifacts",
    "model_id": f"m-{'b' * 32}",
    "model": "absent.model",
    "governed": "absent.governed",
    "comment": "987654",
    "url": "https://hooks.example.com/a",
    "trace": "tr-absent",
    "assessment": f"a-{'d' * 32}",
    "upload": "e" * 32,
    "etag": "f" * 64,
    "hook": "987654",
    "any_hook": "987655",
    "model_pk": "987654",
}
NUMBERS = {"experiment", "gone_experiment", "comment", "hook", "any_hook", "model_pk"}


def named(verb: str, route: Route) -> str:
    """Return what a route is called here; the one address whose versions are two routes is told apart by them."""
    of = f" of {route.versions[0]}" if route.path == "mlflow/traces" and verb == "POST" else ""
    return f"{verb} {route.path}{of}"


def operations() -> Iterator[tuple[str, str, Route]]:
    """Yield the name, method and route of everything the dialect answers."""
    for route in TABLE.routes:
        for verb in route.verbs():
            yield named(verb, route), verb, route


@pytest.fixture
def hidden(dana: User, pat: User, receiver: Receiver, tmp_path: Path, settings: LazySettings) -> Values:
    """Make something of each kind that is Dana's, and return what names it."""
    settings.ARTIFACT_ROOT = str(tmp_path / "artifacts")
    who = actor(dana)
    experiment = experiments.create_experiment(actor=who, name="secret experiment", tags={"team": "red"})
    gone_experiment = experiments.create_experiment(actor=who, name="secret and gone")
    experiments.delete_experiment(actor=who, experiment_id=gone_experiment)
    run = runs.create_run(actor=who, experiment_id=experiment, name="secret run", tags={"team": "red"}).run_id
    gone_run = runs.create_run(actor=who, experiment_id=experiment).run_id
    runs.delete_run(actor=who, run_id=gone_run)
    run_data.log_batch(actor=who, run_id=run, metrics=[MetricPoint("loss", 0.5, 1)])
    used = DatasetInput("secret data", "1", "local", "{}", tags=[("mlflow.data.context", "training")])
    lineage.log_inputs(actor=who, run_id=run, datasets=[used])
    files.put_run_artifact(actor=who, run_id=run, path="note.txt", stream=io.BytesIO(b"secret"), expected_bytes=6)
    model_id = logged_models.create_logged_model(actor=who, experiment_id=experiment, name="secret", tags={"team": "red"})
    folder = f"{experiment}/models/{model_id}/artifacts"
    files.put_artifact(actor=who, path=f"{folder}/MLmodel", stream=io.BytesIO(b"secret"), expected_bytes=6)
    model = registry_commands.create_model(actor=who, name="secret.model", tags={"team": "red"})
    registry_commands.register_version(actor=who, model_name="secret.model", source="s3://secret/x", tags={"team": "red"})
    catalog.set_alias(actor=who, model_name="secret.model", alias="candidate", version=1)
    build(dana, pat).in_review()
    thread = discussion.open_thread(
        actor=who, anchor_kind=ThreadAnchor.VERSION, text="secret", model_name="secret.model", version=1
    )
    traces.log_trace(actor=who, trace=traces.TraceDescription("tr-secret", experiment, 1, tags={"team": "red"}))
    begun = uploads.begin_upload(actor=who, path=f"{experiment}/{run}/artifacts/big.bin", parts=1)
    etag = receive_part(
        ticket=begun.tickets[0], upload_id=begun.upload_id, number=1, stream=io.BytesIO(b"secret"), expected_bytes=6
    )
    hook = create_endpoint(
        actor=who,
        name="secret",
        url=receiver.url,
        events=["MODEL_VERSION_CREATED"],
        model_name="secret.model",
        format="databricks",
    )
    any_hook = create_endpoint(actor=actor(pat), name="any", url=receiver.url, events=["model_version.created"], format="mlflow")
    return {
        "url": receiver.url,
        "trace": "tr-secret",
        "assessment": traces.assess(actor=who, trace_id="tr-secret", body=FEEDBACK),
        "upload": begun.upload_id,
        "etag": etag,
        "hook": str(hook.endpoint.pk),
        "any_hook": str(any_hook.endpoint.pk),
        "model_pk": str(model.pk),
        "experiment": str(experiment),
        "gone_experiment": str(gone_experiment),
        "experiment_name": "secret experiment",
        "run": run,
        "gone_run": gone_run,
        "root": f"{experiment}/{run}/artifacts",
        "model_id": model_id,
        "model": "secret.model",
        "governed": "credit.risk",
        "comment": str(thread.comments.get().pk),
    }


def filled(value: Any, values: Values) -> Any:
    """Return fields with the values in place of their names."""
    if isinstance(value, dict):
        return {key: filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, values) for item in value]
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], value) if isinstance(value, str) else value


def send(headers: dict[str, str], verb: str, address: str, route: Route, values: Values) -> HttpResponseBase:
    """Send the request of a route's case to one of its addresses."""
    case = CASES[named(verb, route)]
    for name, value in case.at.items():
        address = address.replace(f"{{{name}}}", filled(value, values)).replace(f"<{name}>", filled(value, values))
    fields = filled(case.fields, values)
    if verb == "GET":
        return CLIENT.get(address, fields, **headers)
    if route.raw:
        body = filled((case.body or b"").decode(), values).encode()
        kind = "application/json" if body.startswith(b"{") else "application/octet-stream"
        return CLIENT.generic(verb, f"{address}?{urlencode(fields)}", body, kind, **headers)
    return CLIENT.generic(verb, address, json.dumps(fields), "application/json", **headers)


def said(answer: HttpResponseBase) -> str:
    """Return an answer's status and body."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return f"{answer.status_code} {body.decode()}"


def is_empty(value: Any) -> bool:
    """Return whether there is nothing in an answer, however deep."""
    return all(map(is_empty, value.values())) if isinstance(value, dict) else value in ("", [], None)


def test_no_route_is_missing_from_the_walk() -> None:
    assert sorted(CASES) == sorted(name for name, _, _ in operations())
    assert len(CASES) > 90


def test_without_a_token_every_address_asks_to_sign_in(hidden: Values) -> None:
    before = AuditEvent.objects.count()
    for name, verb, route in operations():
        for address in route.addresses():
            for headers in ({}, {"HTTP_AUTHORIZATION": "Bearer cs_wrong"}):
                answer = send(headers, verb, address, route, hidden)
                assert answer.status_code == (401 if route.signed_in else CASES[name].for_all), (name, address)
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("role", ["", "data-scientist"])
def test_what_is_hidden_answers_as_what_is_absent(hidden: Values, role: str) -> None:
    headers = bearer(person("noor", *filter(None, [role])))

    def anonymous(answer: HttpResponseBase, values: Values) -> str:
        text = said(answer)
        for name, value in values.items():
            text = text if name in NUMBERS else text.replace(value, f"<{name}>")
        return re.sub(r"\d+", "N", text)

    for name, verb, route in operations():
        if role and name in MAKES_ONES_OWN:
            continue
        tried, absent = (send(headers, verb, route.addresses()[0], route, values) for values in (hidden, ABSENT))
        if CASES[name].for_all:
            assert tried.status_code == CASES[name].for_all, name
            continue
        assert tried.status_code in (403, 404) or (tried.status_code == 200 and is_empty(json.loads(said(tried)[4:]))), (
            name,
            said(tried),
        )
        assert anonymous(tried, hidden) == anonymous(absent, ABSENT), name


def test_who_may_succeeds_at_every_address(hidden: Values, dana: User, ravi: User, pat: User) -> None:
    headers = {"dana": bearer(dana), "ravi": bearer(ravi), "pat": bearer(pat)}
    for name, verb, route in operations():
        case = CASES[name]
        for address in route.addresses():
            with transaction.atomic():  # each finds everything as it was
                answer = send(headers[case.who], verb, address, route, hidden)
                text = said(answer)
                transaction.set_rollback(True)
            assert answer.status_code == (case.for_all or 200), (name, text)
        if verb == "GET" and not case.for_all:
            assert not text.startswith("200 {}"), name
