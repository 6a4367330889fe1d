"""Whatever is sent to the dialect, the server answers at once and not with a failure, and nothing it keeps is harmed.

FUZZ_REQUESTS sets how many requests are sent (400 unless said otherwise). They are drawn anew each time; a fault is told with
the whole request, so that it can be sent again.
"""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests as http
from hypothesis import HealthCheck, Phase, given, settings

from interfaces.mlflow.dispatch import speaks
from scripts.stack import Stack
from tests.fuzz import strategies, wire
from tests.fuzz.strategies import World
from tests.live import serving, tokens

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "400"))
pytestmark = [pytest.mark.journey, pytest.mark.timeout(300 + REQUESTS)]

API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
BATCH = 1000
SLOW = 1.0  # seconds
ATTEMPTS = 8  # a slow answer counts if it is slow each time: the machine has other things to do too


class Caller:
    """Someone who speaks the protocol as it is meant."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.url, self.session = stack.url, http.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **fields: Any) -> Any:
        """Return the answer to what must succeed."""
        given = {"params": fields} if method == "GET" else {"json": fields}
        answer = self.session.request(method, self.url + API + path, timeout=30, **given)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def put(self, path: str, content: bytes) -> None:
        """Store a file."""
        answer = self.session.put(f"{self.url}{FILES}/{path}", data=io.BytesIO(content), timeout=30)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def people(stack: Stack) -> dict[str, str]:
    return tokens(stack, {"dana": "data-scientist", "noor": "data-scientist", "ravi": "reviewer", "mallory": ""})


def main_flow(call: Caller, name: str) -> dict[str, tuple[str, ...]]:
    """Log a run and register, place and find a model; return the names of all that was made."""
    experiment = call("POST", "/experiments/create", name=name, tags=[{"key": "team", "value": "red"}])["experiment_id"]
    runs = []
    for at in range(4):
        run = call("POST", "/runs/create", experiment_id=experiment, start_time=at)["run"]["info"]["run_id"]
        call(
            "POST", "/runs/log-batch", run_id=run,
            metrics=[{"key": "loss", "value": n / 7, "timestamp": n, "step": n} for n in range(20)],
            params=[{"key": "a", "value": "b"}], tags=[{"key": "team", "value": "red"}],
        )  # fmt: skip
        call.put(f"{experiment}/{run}/artifacts/model/MLmodel", f"flavors: {{}}\nat: {at}\n".encode())
        runs.append(run)
    model_id = call("POST", "/logged-models", experiment_id=experiment, name="m")["model"]["info"]["model_id"]
    call("POST", "/registered-models/create", name=name, tags=[{"key": "team", "value": "red"}])
    for run in runs[:3]:
        call("POST", "/model-versions/create", name=name, source=f"runs:/{run}/model", run_id=run)
    call("POST", "/model-versions/transition-stage", name=name, version="1", stage="Production")
    call("POST", "/registered-models/alias", name=name, alias="champion", version="2")
    call("POST", "/transition-requests/create", name=name, version="3", stage="Staging")
    comment = call("POST", "/comments/create", name=name, version="1", comment="x")["comment"]["id"]

    found = call("POST", "/runs/search", experiment_ids=[experiment], filter="metrics.loss > 2 AND tags.team = 'red'")
    assert len(found["runs"]) == 4
    assert call("GET", "/registered-models/alias", name=name, alias="champion")["model_version"]["version"] == "2"
    assert len(call("GET", "/model-versions/search", filter=f"name = '{name}'")["model_versions"]) == 3
    root = f"{experiment}/{runs[0]}/artifacts"
    return {
        "experiment_id": (experiment, "0"),
        "run_id": tuple(runs),
        "model_id": (model_id,),
        "name": (name,),
        "version": ("1", "2", "3"),
        "alias": ("champion",),
        "creator": ("dana",),
        "id": (comment,),
        "path": (
            f"{root}/model/MLmodel",
            f"{root}/note.txt",
            "model",
            f"runs:/{runs[3]}/model",
            f"models:/{name}/1",
            f"models:/{model_id}",
        ),
    }


def fault_of(stack: Stack, request: wire.Request, statuses: Counter[int]) -> str:
    """Send a request; count the status of the answer and return what is wrong with it, or nothing."""
    data = request.bytes()
    try:
        answer = wire.send(stack.url, data)
        for _ in range(ATTEMPTS - 1):
            if answer.seconds < SLOW:
                break
            time.sleep(0.5)  # what else the machine does may be over then
            answer = wire.send(stack.url, data)
    except TimeoutError:
        return f"no answer within {wire.PATIENCE:.0f} s"
    statuses[answer.status] += 1
    checks_a_password = any(value.startswith(b"Basic") for _, value in request.headers)  # slowly, on purpose
    if answer.seconds >= SLOW and not checks_a_password:
        return f"{ATTEMPTS} answers took longer than {SLOW:.0f} s, the last one {answer.seconds:.1f} s"
    if answer.status == 501 and answer.error_code() == "NOT_IMPLEMENTED":
        return ""
    if not 200 <= answer.status < 500:
        return f"status {answer.status}: {answer.body[:300]!r}"
    elsewhere = not speaks(request.target.partition(b"?")[0].decode()) or answer.body == b"The request cannot be read."
    if answer.status >= 400 and answer.body and answer.error_code() is None and not elsewhere:
        return f"status {answer.status} without a code and a message: {answer.body[:300]!r}"
    return ""


def test_nothing_that_is_sent_breaks_the_server(stack: Stack, people: dict[str, str]) -> None:
    dana = Caller(stack, people["dana"])
    faults: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    for batch in range(0, REQUESTS, BATCH):
        # New things each time: much of what there was is deleted by now.
        made = [main_flow(dana, f"fuzz.{batch}.{at}") for at in range(3)]
        known = {name: tuple(value for part in made for value in part[name]) for name in made[0]}

        @settings(
            max_examples=min(BATCH, REQUESTS - batch),
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategies.requests(World(known, tuple(people.values()))))
        def send_one(request: wire.Request) -> None:
            if fault := fault_of(stack, request, statuses):
                faults.setdefault(f"{request.method!r} {request.target[:60]!r} {fault[:40]}", f"{fault}\n{request}")

        send_one()
    log = (stack.logs / "web.log").read_text(errors="replace")
    assert not faults, f"{len(faults)} faults:\n\n" + "\n\n".join(list(faults.values())[:30]) + f"\n\n{log[-6000:]}"
    assert "Traceback" not in log, log[-6000:]
    stack.require_alive()
    # Much of it is refused, as it should be; if all of it were, nothing behind the parser would have been tried.
    assert statuses[200] >= REQUESTS / 100, statuses


def test_the_database_is_unharmed_and_the_server_does_its_work(stack: Stack, people: dict[str, str]) -> None:
    looked = stack.run(["python", "-m", "tests.fuzz.unharmed"])
    assert (looked.returncode, looked.stdout) == (0, ""), looked.stdout + looked.stderr
    main_flow(Caller(stack, people["dana"]), "after")
    assert "intact" in stack.manage("verify_ledger")


def test_the_looking_itself_finds_harm(stack: Stack) -> None:
    broken = "import tests.fuzz.unharmed as u; from registry.models import RegisteredModel as M; M.objects.update(next_number=1)"
    script = f"{broken}; print(list(u.our_own()))"
    looked = stack.run(["python", "-c", script])
    assert looked.returncode == 0 and "would give number 1 twice" in looked.stdout, looked.stdout + looked.stderr
