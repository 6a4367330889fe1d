"""Hostile models in the sandbox: nothing reaches the outside, each end has a name, the worker goes on and nothing is left.

By default what can be tried together is tried in one start, and the most telling ends have one each;
`HOSTILE=all` runs every class in a start of its own.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from governance.checks.base import CheckError
from governance.checks.model import Model, Remote
from tests.hostile import behaviour, pickles
from tests.hostile.behaviour import ANSWERS, ATTEMPTS, CLASSES, ENDS, HostileModel, answering, attempting
from tests.hostile.test_files import scanned
from workflows.runner import layout, sandbox
from workflows.runner.child import Child
from workflows.runner.environments import Environment
from workflows.runner.layout import Pipes, Respondent
from workflows.runner.sandbox import Isolation, Limits, Outcome, Status

EVERYTHING = os.environ.get("HOSTILE") == "all"
NEEDS_BWRAP = pytest.mark.skipif(not sandbox.detect().available, reason=sandbox.detect().reason)
OWN = Environment(Path(sys.executable), None, "the worker's own")
# Enough for the libraries to be imported, and little more.
SMALL = Limits(memory_bytes=2 << 30, cpu_seconds=5, wall_seconds=60, file_bytes=16 << 20, processes=48, result_bytes=1 << 20)
TELLING = ("fork bomb", "memory bomb", "flood of output")


@dataclass
class Host:
    """What hostile models must not reach: a folder, a port, a secret; and what their processes are called."""

    folder: Path
    port: int
    token: str = field(default_factory=lambda: "hst" + uuid.uuid4().hex[:10])
    connections: list[Any] = field(default_factory=list)

    @property
    def marker(self) -> Path:
        return self.folder / "marker"

    def run(self, model: HostileModel, data: Path, limits: Limits = SMALL) -> Outcome:
        """Run a check on the model, and see that nothing of it is left."""
        model_dir = model.into(
            self.folder / uuid.uuid4().hex, str(self.marker), token=self.token, port=self.port, worker=os.getpid()
        )
        before = sorted(each.read_bytes() for each in model_dir.rglob("*") if each.is_file())
        outcome = run(model_dir, data, limits)
        assert before == sorted(each.read_bytes() for each in model_dir.rglob("*") if each.is_file())
        self.is_unharmed()
        return outcome

    def is_unharmed(self) -> None:
        """Assert that there is no marker, no connection and no process."""
        assert not self.marker.exists() and self.connections == []
        assert not Path("/countersign-marker").exists() and not Path("/dev/shm", self.token).exists()
        # The kernel takes a moment to end what was killed with its namespace.
        deadline = time.monotonic() + 10
        while processes_called(self.token) and time.monotonic() < deadline:
            os.sched_yield()
        assert processes_called(self.token) == []


def run(model_dir: Path, data: Path, limits: Limits) -> Outcome:
    spec = {"check": "performance", "parameters": {}, "dataset": {"target": "y", "favourable": 1}, "seed": 0}
    return sandbox.run(
        spec,
        model_dir=model_dir,
        dataset_path=data,
        limits=limits,
        isolation=Isolation.BUBBLEWRAP,
        heartbeat=lambda _: True,
        answering=OWN,
    )


def processes_called(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text()
            except OSError:
                continue
            # One that has been killed and waits for the kernel to take it away does nothing any more.
            if f"({token})" in fields and fields.rpartition(")")[2].split()[0] not in "ZX":
                found.append(fields)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{index},{index % 2}\n" for index in range(20)))
    return path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    server = socket.create_server(("127.0.0.1", 0))
    here = Host(tmp_path, server.getsockname()[1])

    def accept() -> None:
        try:
            while True:
                here.connections.append(server.accept())
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    monkeypatch.setenv("COUNTERSIGN_TEST_SECRET", "sk-very-secret")
    yield here
    server.close()


@pytest.mark.parametrize("name", CLASSES)
def test_the_scan_flags_the_code_of_each(name: str, tmp_path: Path) -> None:
    rules = {each.rule for each in scanned(CLASSES[name].into(tmp_path / "model", str(tmp_path / "marker")))}
    assert {"custom-code", "code", "dangerous-code"} <= rules


def held(outcome: Outcome, names: list[str]) -> None:
    assert (outcome.status, outcome.error_code) == (Status.COMPLETED, ""), outcome
    lines = outcome.log_tail.splitlines()
    for name in names:
        assert any(line.startswith(f"{name} HELD") for line in lines), (name, outcome.log_tail)
    assert "THROUGH" not in outcome.log_tail, outcome.log_tail
    assert "\x1b" not in outcome.log_tail and "sk-very-secret" not in outcome.log_tail


@NEEDS_BWRAP
def test_whatever_a_model_tries_is_held(host: Host, data: Path) -> None:
    held(host.run(attempting(ATTEMPTS), data), list(ATTEMPTS))


@NEEDS_BWRAP
@pytest.mark.parametrize("name", ENDS if EVERYTHING else TELLING)
def test_whatever_ends_a_model_has_a_name(host: Host, data: Path, name: str) -> None:
    outcome = host.run(CLASSES[name], data, SMALL if "sleep" not in name else Limits(wall_seconds=8))
    assert outcome.error_code in ENDS[name].codes, outcome
    assert (outcome.status is Status.COMPLETED) == (outcome.error_code == "")
    assert outcome.seconds < SMALL.wall_seconds + 5 and len(outcome.log_tail) <= 64 * 1024


@NEEDS_BWRAP
@pytest.mark.skipif(not EVERYTHING, reason="they are tried together; HOSTILE=all tries each alone")
@pytest.mark.parametrize("name", ATTEMPTS)
def test_each_attempt_alone_is_held(host: Host, data: Path, name: str) -> None:
    held(host.run(CLASSES[name], data), [name])


@NEEDS_BWRAP
@pytest.mark.skipif(not EVERYTHING, reason="one process gives them all; HOSTILE=all asks each alone")
@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_alone_is_refused(host: Host, data: Path, name: str) -> None:
    model = HostileModel("pass", f"return {ANSWERS[name]}")
    outcome = host.run(model, data)
    assert outcome.error_code in ("model_predict_failed", "out_of_memory", "unsuitable_data"), outcome


@NEEDS_BWRAP
def test_answers_that_are_none_are_refused_and_the_model_can_be_asked_again(host: Host) -> None:
    import pandas as pd

    model_dir = answering(ANSWERS).into(host.folder / "model", str(host.marker), token=host.token)
    box = host.folder / "box"
    box.mkdir()
    with Pipes() as pipes:
        source, target = os.fdopen(os.dup(pipes.answers_out), "rb"), os.fdopen(os.dup(pipes.requests_in), "wb")
        job = layout.predicting(box, Respondent("model", model_dir, OWN), Isolation.BUBBLEWRAP, SMALL, pipes, soon=True)
        child = Child(job, SMALL)
    try:
        model = Model(Remote(source, target))
        for number, name in enumerate(ANSWERS):
            with pytest.raises((CheckError, MemoryError)) as refused:
                model.output(pd.DataFrame({"a": [float(number)] * 5}))
            assert getattr(refused.value, "code", "model_predict_failed") == "model_predict_failed", name
            assert len(str(refused.value)) < 5000, name
        assert model.output(pd.DataFrame({"a": [999.0] * 5})).tolist() == [0] * 5
    finally:
        child.stop()
        source.close()
        target.close()
    host.is_unharmed()


LOADS = """
import pickle
for name in sorted(os.listdir(os.path.join(path, 'pickles'))):
    with open(os.path.join(path, 'pickles', name), 'rb') as file:
        try:
            pickle.load(file)
            said = 'loaded'
        except Exception as cause:
            said = type(cause).__name__
    if os.path.isdir(INSIDE):
        os.rmdir(INSIDE)
        said += ' LIVE'
    print('PICKLE', name, said)
"""


@NEEDS_BWRAP
def test_payloads_that_the_scan_refuses_are_live_and_stay_inside(host: Host, data: Path) -> None:
    """The hostile files are no duds: loaded in the box each makes its folder, in the box's own scratch space."""
    inside = f"/tmp/{host.token}"
    model_dir = HostileModel(LOADS.replace("INSIDE", repr(inside)), "pass").into(
        host.folder / "model", str(host.marker), token=host.token
    )
    (model_dir / "pickles").mkdir()
    for name in pickles.RUNS | {"bytearray bomb", "reconstructed bomb"}:
        (model_dir / "pickles" / name).write_bytes(pickles.ONE[name][2](inside))
    outcome = run(model_dir, data, SMALL)
    assert outcome.status is Status.COMPLETED, outcome
    said = {name: line for line in outcome.log_tail.splitlines() for name in pickles.ONE if line.startswith(f"PICKLE {name} ")}
    assert {name for name, line in said.items() if line.endswith("LIVE")} == pickles.RUNS, outcome.log_tail
    assert all("MemoryError" in said[name] for name in ("bytearray bomb", "reconstructed bomb")), outcome.log_tail
    assert not Path(inside).exists()
    host.is_unharmed()


@NEEDS_BWRAP
def test_a_tree_that_points_at_itself_ends_by_its_processor_time(host: Host, data: Path) -> None:
    """The file is what scikit-learn writes, and every name in it is known: what loops is the data."""
    import mlflow.sklearn
    import pandas as pd
    from sklearn.tree import DecisionTreeClassifier

    rows = pd.read_csv(data)
    tree = DecisionTreeClassifier().fit(rows[["a"]].astype(float), rows["y"])
    state = tree.tree_.__getstate__()
    state["nodes"]["left_child"][0] = state["nodes"]["right_child"][0] = 0
    tree.tree_.__setstate__(state)
    mlflow.sklearn.save_model(
        tree, str(host.folder / "tree"), serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    assert scanned(host.folder / "tree") == []
    outcome = run(host.folder / "tree", data, SMALL)
    assert (outcome.status, outcome.error_code) == (Status.ERROR, "cpu_limit"), outcome
    host.is_unharmed()


def test_there_are_as_many_classes_as_promised() -> None:
    from tests.hostile.generator import FILES

    assert len({each.name for each in FILES}) == len(FILES) and len(FILES) + len(behaviour.CLASSES) >= 90
    assert pickle.loads(pickles.whole(b"K\x01")) == 1  # the opcodes written by hand are those of Python
