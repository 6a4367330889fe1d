"""What test_faults.py does to an instance: its workers, its sandboxes and its broker are killed, and started again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from scripts.stack import Stack, commands, free_port


def until(holds: Callable[[], Any], what: Callable[[], str], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what()} did not come"
        time.sleep(0.05)
    return found


class Redis:
    """A Redis that is killed, and comes back with what it had written down, or in turn with nothing."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder, self._starts = free_port(), folder, 0
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        keeps = self._starts % 2 == 0
        self._starts += 1
        place = self._folder / ("kept" if keeps else f"forgotten-{self._starts}")
        place.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(place), "--save", "", "--loglevel", "warning"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *options, "--appendonly", "yes" if keeps else "no"], stdout=log, stderr=log
            )
        with redis.Redis(port=self.port) as client:
            until(lambda: _answers(client), lambda: "Redis")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


class Processes:
    """What runs at a moment: parents, sessions and states, as /proc says."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._session: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # gone since it was listed
                if fields[0] not in "ZX":
                    self._parent[int(entry.name)], self._session[int(entry.name)] = int(fields[1]), int(fields[3])

    def alive(self, pids: set[int]) -> set[int]:
        return pids & self._parent.keys()

    def below(self, root: int) -> set[int]:
        found, waiting = set(), [root]
        while waiting:
            parent = waiting.pop()
            children = [pid for pid, its in self._parent.items() if its == parent]
            found.update(children)
            waiting += children
        return found

    def pool(self, worker: int) -> set[int]:
        return {pid for pid in self.below(worker) if self._session[pid] == worker}

    def sandboxes(self, worker: int) -> set[int]:
        """Every process of the checks that a worker carries out: bwrap, what measures, and what answers for a model."""
        return self.below(worker) - self.pool(worker)


class Faults:
    """Kills what an instance consists of, and starts it again after a short while.

    unfinished: whether there is work left. sandboxes_gone: how many processes of checks went with the worker that was killed.
    """

    def __init__(self, stack: Stack, broker: Redis | None, unfinished: Callable[[], bool], seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.sandboxes_gone = 0
        self._stack, self._redis, self._unfinished = stack, broker, unfinished
        self._chance = random.Random(seed)
        what = commands()
        self._commands = {"worker": what["worker"], "checks": what["checks"]}
        self._commands["checks-2"] = [word.replace("checks@", "checks-2@") for word in what["checks"]]

    def start(self) -> None:
        for name, command in self._commands.items():
            self._stack.start_one(name, command)
        self._stack.start_one("beat", commands()["beat"])

    def processes(self) -> set[int]:
        """Return every process of the instance."""
        now = Processes()
        return {pid for each in self._stack.processes.values() for pid in (each.pid, *now.below(each.pid))}

    def plan(self, count: int) -> list[str]:
        """Return so many kinds of faults or more in the order they are to happen: first those that must, then each other, then by chance."""
        first, others = ["machine", "sandbox", "broker"], ["parent", "pool process", "short jobs"]
        others += [] if self._redis else ["reader"]
        self._chance.shuffle(first)
        self._chance.shuffle(others)
        return [*first, *others, *self._chance.choices(first + others, k=max(0, count - len(first + others)))]

    def happen(self, kind: str) -> None:
        """Let one of a kind happen, unless the work has ended before it could."""
        time.sleep(self._chance.uniform(0.0, 0.8))
        if getattr(self, f"_{kind.replace(' ', '_')}")():
            self.done[kind] += 1

    def _machine(self) -> bool:
        return self._lose(lambda leader: os.killpg(leader, signal.SIGKILL))

    def _parent(self) -> bool:
        return self._lose(lambda leader: os.kill(leader, signal.SIGKILL))

    def _lose(self, kill: Callable[[int], None]) -> bool:
        """Kill a worker of checks in the middle of one: nothing that it started may outlive it."""
        if not (name := self._at_work()):
            return False
        leader = self._stack.processes[name].pid
        now = Processes()
        below, sandboxes = now.below(leader), now.sandboxes(leader)
        kill(leader)
        self._stack.processes.pop(name).wait()
        until(
            lambda: not Processes().alive(below), lambda: f"the end of {Processes().alive(below)}, which outlived its worker", 15
        )
        self.sandboxes_gone += len(sandboxes)
        self._again(name)
        return True

    def _pool_process(self) -> bool:
        if not (name := self._at_work()):
            return False
        busy_or_idle = sorted(Processes().pool(self._stack.processes[name].pid))
        return bool(busy_or_idle) and _killed(self._chance.choice(busy_or_idle))

    def _sandbox(self) -> bool:
        if not (name := self._at_work()):
            return False
        found = sorted(Processes().sandboxes(self._stack.processes[name].pid))
        return bool(found) and _killed(self._chance.choice(found))

    def _short_jobs(self) -> bool:
        leader = self._stack.processes["worker"].pid
        os.killpg(leader, signal.SIGKILL)
        self._stack.processes.pop("worker").wait()
        self._again("worker")
        return True

    def _broker(self) -> bool:
        """Kill Redis; of the broker of files, which no process serves, lose messages and cut others off."""
        if self._redis is not None:
            self._redis.kill()
            time.sleep(self._chance.uniform(0.2, 2.0))
            self._redis.start()
            return True
        for path in sorted((self._stack.home / "broker" / "messages").glob("*.msg")):
            try:
                fate = self._chance.random()
                if fate < 0.4:
                    path.unlink()
                elif fate < 0.8:
                    os.truncate(path, int(self._chance.random() * path.stat().st_size))
            except FileNotFoundError:
                continue  # taken since it was listed
        return True

    def _reader(self) -> bool:
        """Kill a worker of checks just after a message was taken that it may be reading."""
        folder = self._stack.home / "broker" / "messages"
        name = self._chance.choice(["checks", "checks-2"])
        deadline, before = time.monotonic() + 5, set[str]()
        while not (before - (now := {path.name for path in folder.glob("*.checks-*.msg")})):
            if time.monotonic() > deadline or not self._unfinished():
                return False
            before = now
            time.sleep(0.002)
        os.killpg(self._stack.processes[name].pid, signal.SIGKILL)
        self._stack.processes.pop(name).wait()
        self._again(name)
        return True

    def _again(self, name: str) -> None:
        time.sleep(self._chance.uniform(0.1, 1.0))
        age(Path(self._stack.environment["TMPDIR"]))
        self._stack.start_one(name, self._commands[name])

    def _at_work(self) -> str:
        """Return a worker that carries out a check, waiting for one while there is work."""
        names = ["checks", "checks-2"]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._unfinished():
            self._chance.shuffle(names)
            now = Processes()
            for name in names:
                if now.sandboxes(self._stack.processes[name].pid):
                    return name
            time.sleep(0.05)
        return ""


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it had ended just before
        return False
    return True


def age(scratch: Path) -> None:
    """Make what checks left behind, and what they use, look old: only the lock then tells which is which."""
    for path in scratch.iterdir():
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (0, 0))
