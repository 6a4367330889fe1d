"""One whole Countersign on this machine: web, workers and beat as processes of their own, supervised.

``make run`` is this module's ``main``; the demo, the benchmarks and the tests use ``Stack``. What each process runs is read
from docker-compose.yml, so that a laptop and a container start the same commands.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LONG_RUNNING = ("web", "worker", "checks", "webhooks", "beat")
STOP_SECONDS = 15.0
LOCK = "instance.lock"
# Left by the demo in its home; an instance that somebody runs for themselves is theirs, and no demo may begin anew over it.
DEMO_MARK = "made-by-demo"
_PR_SET_PDEATHSIG = 1


class StackError(Exception):
    """The instance could not be started, or one of its processes ended. The message says which and why."""


def commands() -> dict[str, list[str]]:
    """Return what the services ``migrate``, ``web``, ``worker``, ``checks``, ``webhooks`` and ``beat`` of docker-compose.yml run."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return {name: [str(word) for word in services[name]["command"]] for name in ("migrate", *LONG_RUNNING)}


def free_port() -> int:
    """Return a port of this machine that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """An instance with a port and a home; start it, wait until it is healthy, stop it. Usable in a ``with`` statement.

    environment: settings on top of this process's own, such as DATABASE_URL. services: the processes to start, all of them
    unless said otherwise.
    """

    def __init__(
        self,
        *,
        port: int,
        home: Path,
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        services: Sequence[str] = LONG_RUNNING,
    ) -> None:
        self.port = port
        self.services = services
        self.home = home.resolve()
        self.host = host
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
        self.logs = self.home / "logs"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None
        self.environment = {
            "PUBLIC_URL": self.url,
            **os.environ,
            **(environment or {}),
            "COUNTERSIGN_HOME": str(self.home),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "GRANIAN_HOST": host,
            "GRANIAN_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Stack:
        try:
            self.start()
            self.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Bring the database up to date and start every process.

        Raises StackError if the port or the home is in use, or the migration fails.
        """
        self._claim()
        what = commands()
        done = self.run(what["migrate"])
        if done.returncode:
            raise StackError(f"migrate failed:\n{done.stdout}{done.stderr}")
        for name in self.services:
            self.start_one(name, what[name])

    def start_one(self, name: str, command: list[str]) -> None:
        """Start one process; its output goes to ``logs/<name>.log``."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                _program(command),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the supervisor alone, and stopping reaches grandchildren
                preexec_fn=_end_with_the_supervisor,
            )

    def run(self, command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of this instance to its end, such as ``["python", "manage.py", "verify_ledger"]``."""
        return subprocess.run(
            _program(command), cwd=ROOT, env=self.environment, input=given, capture_output=True, text=True, check=False
        )

    def manage(self, *arguments: str, given: str | None = None) -> str:
        """Run a management command and return what it printed. Raises StackError if it fails."""
        done = self.run(["python", "manage.py", *arguments], given)
        if done.returncode:
            raise StackError(f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait_healthy(self, seconds: float = 90.0) -> None:
        """Return once /health answers 200. Raises StackError if a process ends or time runs out."""
        deadline = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < deadline:
            self.require_alive()
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                last = f"status {error.code}"
            except OSError as error:
                last = str(error)
            time.sleep(0.1)
        raise StackError(f"{self.url}/health was not healthy within {seconds:.0f} s ({last})\n{self.tail('web')}")

    def require_alive(self) -> None:
        """Return while every process runs. Raises StackError naming the one that ended, with the end of its log."""
        for name, process in self.processes.items():
            status = process.poll()
            if status is not None:
                raise StackError(f"{name} ended with status {status}; the end of {self.logs / name}.log:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 25) -> str:
        """Return the last lines of a process's log."""
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self) -> None:
        """End every process that was started, politely first. Safe to call twice."""
        for process in self.processes.values():
            process.terminate()  # the leader alone: it lets its own children finish what they have in hand
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):  # in the middle of a long job: its lease gives it to another
                process.wait(max(0.1, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)  # also what the process may have left in its group
            process.wait()
        # What was killed lets go of its socket a moment later; who starts the next instance should find it free.
        if "web" in self.processes:
            while _why_not(self.host, self.port) and time.monotonic() < deadline + 5:
                time.sleep(0.05)
        self.processes.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _claim(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        require_free(self.home)
        self._lock = (self.home / LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if why := _why_not(self.host, self.port):
            raise StackError(f"port {self.port} cannot be used ({why}); choose another: PORT=8010")


def require_free(home: Path) -> None:
    """Return if no instance uses a home. Raises StackError if one does."""
    if not (home / LOCK).exists():
        return
    with (home / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackError(f"another instance uses {home}; give this one a COUNTERSIGN_HOME of its own") from None


def _why_not(host: str, port: int) -> str:
    """Return why a port cannot be listened on, or nothing if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _program(command: list[str]) -> list[str]:
    """Return the command with its program taken from this interpreter's environment, wherever PATH points."""
    name, *rest = command
    return [sys.executable, *rest] if name == "python" else [sys.executable, "-m", name, *rest]


def _end_with_the_supervisor() -> None:
    """In the child: ask the kernel for a SIGTERM should the supervisor be killed, so that nothing is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, number)


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM (status 0), or until a process dies (status 1)."""
    parser = argparse.ArgumentParser(description="Run an instance of Countersign on this machine.")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("COUNTERSIGN_HOME") or ROOT / "var"))
    given = parser.parse_args(arguments)
    stack = Stack(port=given.port, home=given.home, host=given.host)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    status = 0
    try:
        print(f"countersign: starting in {stack.home}", flush=True)
        (stack.home / DEMO_MARK).unlink(missing_ok=True)
        stack.start()
        stack.wait_healthy()
        setting = "" if stack.home == ROOT / "var" else f"COUNTERSIGN_HOME={stack.home} "
        print(
            f"countersign: {stack.url} is ready ({', '.join(stack.processes)}); logs in {stack.logs}\n"
            f"countersign: make an account:  {setting}.venv/bin/python manage.py create_user NAME --role data-scientist --token\n"
            "countersign: Ctrl-C stops everything",
            flush=True,
        )
        while True:
            stack.require_alive()
            time.sleep(0.5)
    except StackError as error:
        print(f"countersign: {error}", file=sys.stderr, flush=True)
        status = 1
    except KeyboardInterrupt:
        print("countersign: stopping", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        stack.stop()
    return status


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
