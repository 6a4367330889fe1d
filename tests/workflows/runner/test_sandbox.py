"""Every way in which a model misbehaves ends with its own name, and nothing of it reaches the outside."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from workflows.runner import sandbox
from workflows.runner.environments import Environment
from workflows.runner.sandbox import Isolation, Limits, Outcome, Progress, Status

SECRET = "sk-very-secret-7731"
NEEDS_BWRAP = pytest.mark.skipif(not sandbox.detect().available, reason=sandbox.detect().reason)

LOADER = """
import os, sys, time, signal, socket
MARK = {mark!r}
PORT = {port}
class Model:
    def predict(self, data, params=None):
        {predict}
        return [0] * len(data)
def _load_pyfunc(path):
    {load}
    return Model()
"""


OWN = Environment(Path(sys.executable), None, "the worker's own")
USUAL = Limits(wall_seconds=60, cpu_seconds=40, result_bytes=1 << 20)


@dataclass(frozen=True)
class Case:
    """One model. load, predict: what its author wrote there."""

    load: str = "pass"
    predict: str = "pass"
    limits: Limits = USUAL
    isolation: Isolation = Isolation.BUBBLEWRAP


def write_everywhere(marker: str) -> str:
    """Try many places; say which refused."""
    places = [marker, "/usr/lib/{}", "/in/model/{}", "/in/{}", "/app/{}", "/{}", "/dev/{}", "/etc/{}", os.path.expanduser("~/{}")]
    paths = [each.format("countersign-marker") for each in places]
    lines = [f"for path in {paths!r}:", "    try:", "        open(path, 'w').close(); print('WROTE', path)"]
    return "\n        ".join([*lines, "    except OSError as e:", "        print('REFUSED', path, e.strerror)"])


NETWORK = """for address in ('127.0.0.1', '10.0.0.1', '::1'):
            try:
                socket.create_connection((address, PORT), 2); print('CONNECTED', address)
            except OSError as e:
                print('NO ROUTE', address, e.strerror)"""
READ = """for path in ('/etc/passwd', '/proc/1/root/etc/passwd', {test!r}, '/root', '/home'):
            try:
                print('READ ', path, open(path).read(20) if not os.path.isdir(path) else os.listdir(path)[:3])
            except OSError as e:
                print('UNREADABLE', path)"""
ENVIRONMENT = "print(sorted(os.environ.items()))"
SHELL = "print('SHELL', os.system('touch ' + MARK), os.path.exists('/bin/sh'))"


def curious(marker: str) -> str:
    """Try all that a model has no business with, in one run."""
    return "\n        ".join([ENVIRONMENT, READ.format(test=__file__), NETWORK, write_everywhere(marker), SHELL])


FORGED = json.dumps(
    {"status": "completed", "error": None, "measurements": [], "findings": [], "tables": [], "environment": {}, "seconds": 1}
)
FORGE = f"""for path in ('/out/result.json', '../out/result.json'):
            try:
                open(path, 'w').write({FORGED!r})
            except OSError as e:
                print('NO RESULT', path, e.strerror)
        os._exit(0)"""
TO_ALL = """for fd in range(3, 64):
            try:
                os.write(fd, {text!r})
            except OSError:
                pass
        time.sleep(600)"""

CASES = {
    "raises on load": Case(load="raise RuntimeError('weights are missing')"),
    "raises in predict": Case(predict="raise ValueError('bad row')"),
    "leaves by sys.exit": Case(predict="sys.exit(0)"),
    "leaves by os._exit": Case(predict="os._exit(0)"),
    "hangs": Case(
        load="[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15, 24)]; time.sleep(600)", limits=Limits(wall_seconds=6)
    ),
    "computes forever": Case(load="while True: pass", limits=Limits(cpu_seconds=5, wall_seconds=60)),
    "computes forever, ignoring it": Case(
        load="signal.signal(24, signal.SIG_IGN)\n    while True: pass", limits=Limits(cpu_seconds=5, wall_seconds=60)
    ),
    "eats memory": Case(predict="x = [bytearray(1 << 28) for _ in range(64)]"),
    "crashes": Case(predict="os.kill(os.getpid(), signal.SIGSEGV)"),
    "prints forever": Case(predict="while True: os.write(1, b'spam ' * 10000)"),
    "fills its scratch space": Case(
        predict="[open(f'/tmp/{i}', 'wb').write(bytes(1 << 20)) for i in range(64)]",
        limits=Limits(wall_seconds=60, cpu_seconds=40, file_bytes=16 << 20),
    ),
    "forges a result": Case(predict=FORGE),
    "answers nonsense": Case(predict=TO_ALL.format(text=b"\xff" * 64)),
    "answers with too much": Case(predict=TO_ALL.format(text=b"\x00\x00\x00\x02\xff\xff\xff\xff{}")),
    "answers with an object": Case(
        predict=TO_ALL.format(text=b"\x00\x00\x00\x20\x00\x00\x00\x02" + b'{"shape": [40], "dtype": "|O8"} ' + b"..")
    ),
    "closes its pipes": Case(predict="os.closerange(3, 64); time.sleep(600)"),
    "is curious": Case(predict="CURIOUS"),
    "process: raises on load": Case(load="raise RuntimeError('no')", isolation=Isolation.PROCESS),
    "process: reads the environment": Case(predict=ENVIRONMENT, isolation=Isolation.PROCESS),
    "process: hangs in a child": Case(
        load="os.fork(); time.sleep(600)", limits=Limits(wall_seconds=6), isolation=Isolation.PROCESS
    ),
    "process: fills its folder": Case(
        predict="[open(str(i), 'wb').write(bytes(1 << 20)) for i in range(40)]; time.sleep(600)",
        limits=Limits(wall_seconds=60, cpu_seconds=40, file_bytes=16 << 20),
        isolation=Isolation.PROCESS,
    ),
    "process: forges a result": Case(predict=FORGE, isolation=Isolation.PROCESS),
    "process: eats memory": Case(predict="x = bytearray(1 << 34)", isolation=Isolation.PROCESS),
}


@dataclass
class World:
    """Runs each case once, and holds what none of them may reach."""

    start: Callable[[str], Future[Outcome]]
    marker: Path
    connections: list[Any] = field(default_factory=list)
    running: dict[str, Future[Outcome]] = field(default_factory=dict)

    def outcome(self, name: str) -> Outcome:
        """Return how the case ended, waiting for it."""
        if name not in self.running:
            self.running[name] = self.start(name)
        return self.running[name].result()


def save(folder: Path, case: Case, marker: Path, port: int) -> Path:
    (folder / "code").mkdir(parents=True)
    mlmodel = "flavors:\n  python_function:\n    loader_module: hostile\n    code: code\n"
    (folder / "MLmodel").write_text(mlmodel)
    predict = curious(str(marker)) if case.predict == "CURIOUS" else case.predict
    (folder / "code" / "hostile.py").write_text(LOADER.format(mark=str(marker), port=port, load=case.load, predict=predict))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{index},{index % 2}\n" for index in range(40)))
    return path


def run_case(model_dir: Path | None, data: Path, case: Case, **more: Any) -> Outcome:
    spec = {"check": "performance", "parameters": {}, "dataset": {"target": "y", "favourable": 1}, "seed": 0}
    arguments = {"heartbeat": lambda _: True, "answering": OWN, **more}
    return sandbox.run(
        arguments.pop("spec", spec),
        model_dir=model_dir,
        dataset_path=data,
        limits=case.limits,
        isolation=case.isolation,
        **arguments,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Any:
    """Start all cases, three at a time: most of their time is the start of Python."""
    folder = tmp_path_factory.mktemp("hostile")
    marker = folder / "marker"
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[Any] = []

    def accept() -> None:
        try:
            while True:
                connections.append(server.accept())
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    os.environ["COUNTERSIGN_TEST_SECRET"] = SECRET
    with ThreadPoolExecutor(3) as pool:

        def start(name: str) -> Future[Outcome]:
            model_dir = save(folder / str(list(CASES).index(name)), CASES[name], marker, server.getsockname()[1])
            return pool.submit(run_case, model_dir, data, CASES[name])

        world = World(start, marker, connections)
        # Several test processes share the tests among them, so there each case waits until its test comes along.
        for name, case in CASES.items() if "PYTEST_XDIST_WORKER" not in os.environ else ():
            if case.isolation is Isolation.PROCESS or sandbox.detect().available:
                world.running[name] = start(name)
        yield world
    server.close()
    del os.environ["COUNTERSIGN_TEST_SECRET"]


@pytest.mark.parametrize(
    "name, status, code, words",
    [
        ("raises on load", Status.ERROR, "model_load_failed", "weights are missing"),
        ("raises in predict", Status.ERROR, "model_predict_failed", "bad row"),
        ("leaves by sys.exit", Status.ERROR, "model_predict_failed", "SystemExit"),
        ("leaves by os._exit", Status.ERROR, "model_predict_failed", "process ended"),
        ("hangs", Status.TIMED_OUT, "wall_time_limit", "6 seconds"),
        ("computes forever", Status.ERROR, "cpu_limit", "5 seconds of processor time"),
        ("computes forever, ignoring it", Status.ERROR, "cpu_limit", "processor time"),
        ("eats memory", Status.ERROR, "out_of_memory", "memory"),
        ("crashes", Status.ERROR, "killed_by_signal", "SIGSEGV"),
        ("prints forever", Status.ERROR, "output_limit", "printed"),
        ("fills its scratch space", Status.ERROR, "model_predict_failed", "No space left"),
        ("forges a result", Status.ERROR, "model_predict_failed", "process ended"),
        ("answers nonsense", Status.ERROR, "model_predict_failed", "did not answer"),
        ("answers with too much", Status.ERROR, "model_predict_failed", "did not answer"),
        ("answers with an object", Status.ERROR, "model_predict_failed", "cannot be read"),
        ("closes its pipes", Status.ERROR, "model_predict_failed", "process ended"),
    ],
)
@NEEDS_BWRAP
def test_each_misbehaviour_has_its_name(world: World, name: str, status: Status, code: str, words: str) -> None:
    outcome = world.outcome(name)
    assert (outcome.status, outcome.error_code) == (status, code), outcome
    assert words in outcome.error_message and outcome.measurements == ()
    assert outcome.isolation is Isolation.BUBBLEWRAP and len(outcome.log_tail) <= 64 * 1024


@pytest.mark.parametrize(
    "name, status, code",
    [
        ("process: raises on load", Status.ERROR, "model_load_failed"),
        ("process: hangs in a child", Status.TIMED_OUT, "wall_time_limit"),
        ("process: eats memory", Status.ERROR, "out_of_memory"),
        ("process: fills its folder", Status.ERROR, "output_limit"),
        ("process: forges a result", Status.ERROR, "model_predict_failed"),
    ],
)
def test_a_plain_process_is_bounded_too(world: World, name: str, status: Status, code: str) -> None:
    outcome = world.outcome(name)
    assert (outcome.status, outcome.error_code, outcome.isolation) == (status, code, Isolation.PROCESS), outcome


@NEEDS_BWRAP
def test_no_secret_of_the_worker_is_in_the_environment(world: World) -> None:
    for name in ("is curious", "process: reads the environment"):
        outcome = world.outcome(name)
        assert outcome.status is Status.COMPLETED and "OMP_NUM_THREADS" in outcome.log_tail
        assert SECRET not in outcome.log_tail and "COUNTERSIGN" not in outcome.log_tail


@NEEDS_BWRAP
def test_files_of_the_host_cannot_be_read(world: World) -> None:
    log = world.outcome("is curious").log_tail
    assert log.count("UNREADABLE") + log.count("READ ") == 5 and "root:" not in log
    # The folder above an interpreter may exist inside, but holds nothing else.
    assert "Every way in which" not in log and ".ssh" not in log and ".bash" not in log


@NEEDS_BWRAP
def test_there_is_no_network(world: World) -> None:
    log = world.outcome("is curious").log_tail
    assert log.count("NO ROUTE") == 3 and "CONNECTED" not in log and world.connections == []


@NEEDS_BWRAP
def test_nothing_is_written_outside_and_there_is_no_shell(world: World) -> None:
    written = world.outcome("is curious")
    assert "WROTE" not in written.log_tail and written.log_tail.count("REFUSED") == 9
    shell = world.outcome("is curious").log_tail
    assert "SHELL" in shell and "SHELL 0" not in shell and "SHELL 32512 False" in shell
    assert not world.marker.exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    import warnings

    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rows = pd.read_csv(data).astype({"a": float})
    model = LogisticRegression().fit(rows[["a"]], rows["y"])
    folder = tmp_path_factory.mktemp("real") / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows[["a"]], model.predict(rows[["a"]]))
        mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=["scikit-learn"])
    return folder


@pytest.mark.parametrize("isolation", [pytest.param(Isolation.BUBBLEWRAP, marks=NEEDS_BWRAP), Isolation.PROCESS])
def test_an_honest_model_is_measured(real: Path, data: Path, isolation: Isolation) -> None:
    seen: list[Progress] = []
    outcome = run_case(
        real,
        data,
        Case(isolation=isolation),
        heartbeat=lambda progress: not seen.append(progress),  # type: ignore[func-returns-value]
    )
    assert (outcome.status, outcome.error_code, outcome.error_message) == (Status.COMPLETED, "", "")
    values = {each.metric: each for each in outcome.measurements}
    assert values["roc_auc"].n == 40 and 0 < (values["roc_auc"].value or 0) < 1
    assert {each.name for each in outcome.tables} == {"roc_curve", "calibration", "confusion_matrix", "pr_curve"}
    assert outcome.environment["scikit-learn"] and seen and all(0 <= each.done <= 1 for each in seen)


@NEEDS_BWRAP
def test_a_scan_of_a_hostile_pickle_runs_nothing(tmp_path: Path, data: Path) -> None:
    marker = tmp_path / "marker"

    class Payload:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {marker}",)

    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl}}")
    (model / "model.pkl").write_bytes(pickle.dumps(Payload()))
    outcome = run_case(model, data, Case(), spec={"check": "artifact-scan", "parameters": {}, "dataset": None, "seed": 0})
    assert outcome.status is Status.COMPLETED and [each.rule for each in outcome.findings] == ["dangerous-name"]
    assert not marker.exists()


@NEEDS_BWRAP
def test_a_heartbeat_cancels_and_an_error_in_it_stops_the_child(real: Path, data: Path) -> None:
    started = time.monotonic()
    outcome = run_case(real, data, Case(), heartbeat=lambda _: False)
    assert (outcome.status, outcome.error_code) == (Status.CANCELLED, "cancelled") and time.monotonic() - started < 3

    def fail(_: Progress) -> bool:
        raise ConnectionError("the database is gone")

    before = set(children())
    with pytest.raises(ConnectionError):
        run_case(real, data, Case(), heartbeat=fail)
    assert set(children()) <= before


def children() -> list[str]:
    """Direct children of this process, of whatever state."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(entry.name)
    return found


def test_a_wrong_parameter_is_an_error_of_the_policy(data: Path, tmp_path: Path) -> None:
    spec = {"check": "performance", "parameters": {"treshold": 1}, "dataset": {"target": "y"}, "seed": 0}
    outcome = run_case(tmp_path, data, Case(isolation=Isolation.PROCESS), spec=spec)
    assert outcome.error_code == "invalid_parameters" and "'treshold'" in outcome.error_message


def test_without_bubblewrap_nothing_is_started(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(sandbox.detect.cache_clear)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.detect.cache_clear()
    outcome = run_case(tmp_path, data, Case())
    assert (outcome.status, outcome.error_code) == (Status.ERROR, "isolation_unavailable")
    assert "not installed" in outcome.error_message and "not started" in outcome.error_message


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bwrap is not installed")
def test_a_bwrap_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    request.addfinalizer(sandbox.detect.cache_clear)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    sandbox.detect.cache_clear()
    detection = sandbox.detect()
    assert not detection.available and "No permissions to create a new namespace" in detection.reason
