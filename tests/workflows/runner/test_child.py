"""What a worker starts goes with it, also without bubblewrap."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from config.environment import BASE_DIR

_START = """
import sys, time
from pathlib import Path
from workflows.runner.child import Child
from workflows.runner.layout import Job
from workflows.runner.limits import Limits
child = Child(Job([sys.executable, "-S", "-c", "import time; print('here', flush=True); time.sleep(600)"], {}, Path("/")), Limits())
while not (child.has_ended() or child.log):
    time.sleep(0.01)
print(child._process.pid, child.log, flush=True)
time.sleep(600)
"""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_is_killed_with_the_worker_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", _START], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid, said = worker.stdout.readline().split()
        assert said == "b'here\\n'" and _runs(int(pid))
        worker.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(int(pid)):
        assert time.monotonic() < deadline, "it outlived its worker"
        time.sleep(0.01)
