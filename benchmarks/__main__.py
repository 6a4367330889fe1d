"""`python -m benchmarks`: start the servers, fill them, see that they answer right, then measure them in turns."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import dataset, load, once, report, servers
from benchmarks.bulk import Order, run_id
from benchmarks.client import WrongAnswer
from benchmarks.dataset import Data, Size
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.processes import processor_seconds
from benchmarks.report import Results
from benchmarks.servers import DEFAULT, FASTEST, Server
from scripts.stack import StackError

_SET_UPS = {"default": DEFAULT, "fastest": FASTEST}


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if everything was right and nothing failed, 1 otherwise, 130 after Ctrl-C."""
    given = _arguments(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that started us in the background has SIGINT ignored
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="countersign-benchmark-"))
    keep = False
    try:
        load.require_wrk()
        results = _run(given, folder)
        _keep(results, given)
        if given.once:
            apart = folder / "once"
            apart.mkdir()
            results.once = once.measure(apart, os.environ.get("BENCH_DATABASE_URL", ""), given.against)
            print("\n" + "\n".join(report.once_lines(results)), flush=True)
            _keep(results, given)
        if given.write_docs:
            report.write_page(results, _engine())
        if failed := results.errors():
            print(f"benchmarks: {failed} requests failed", file=sys.stderr)
            return 1
    except (load.NoLoad, servers.NotServing, StackError, WrongAnswer) as error:
        keep = not isinstance(error, load.NoLoad)
        print(f"benchmarks: {error}" + (f"\nbenchmarks: logs are in {folder}" if keep else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: stopped", file=sys.stderr)
        return 130
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _keep(results: Results, given: argparse.Namespace) -> None:
    if given.json:
        given.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare Countersign with MLflow servers. SQLite, or PostgreSQL by BENCH_DATABASE_URL, the address of a server"
        " on which two databases may be made.",
    )
    parser.add_argument("--ops", default="", help="comma separated, or the start of their names: " + ", ".join(OPERATIONS))
    parser.add_argument("--against", default="", help="default, fastest, or both (the default)")
    parser.add_argument("--seconds", type=int, default=3, help="of one operation on one server in one round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument(
        "--quick", action="store_true", help="little data, one round of a second, against the fastest set-up only"
    )
    parser.add_argument(
        "--large",
        action="store_true",
        help=f"{dataset.LARGE.models} models, {dataset.LARGE.runs} runs and {dataset.LARGE.more_points} metric points in the databases",
    )
    parser.add_argument("--write-docs", action="store_true", help=f"put the ratios into docs/{report.PAGE.name}")
    given = parser.parse_args(arguments)
    if given.quick:
        given.seconds, given.rounds = 1, 1
    names = given.against.split(",") if given.against else ["fastest"] if given.quick else ["default", "fastest"]
    if unknown := [name for name in names if name not in _SET_UPS]:
        parser.error(f"no such set-up: {', '.join(unknown)}")
    given.against = [_SET_UPS[name] for name in names]
    wanted = [start for start in given.ops.split(",") if start]
    if unknown := [start for start in wanted if not any(name.startswith(start) for name in OPERATIONS)]:
        parser.error(f"no such operation: {', '.join(unknown)}")
    given.ops = [op for name, op in OPERATIONS.items() if not wanted or any(name.startswith(start) for start in wanted)]
    given.once = not wanted and not given.quick
    if given.write_docs and (given.quick or wanted or len(given.against) < len(_SET_UPS)):
        parser.error("--write-docs takes a whole run")
    return given


def _engine() -> str:
    return "PostgreSQL" if os.environ.get("BENCH_DATABASE_URL") else "SQLite"


def _run(given: argparse.Namespace, folder: Path) -> Results:
    print(f"Starting Countersign and {', '.join(given.against)} on {_engine()}, {servers.WORKERS} workers each", flush=True)
    with servers.running(folder, os.environ.get("BENCH_DATABASE_URL", ""), given.against) as compared:
        size = dataset.QUICK if given.quick else dataset.LARGE if given.large else dataset.FULL
        print(
            f"Filling: {size.models} models x {size.versions} versions, {size.runs} runs, {size.points + size.more_points} points",
            flush=True,
        )
        ours, *theirs = compared
        data = {ours.name: _fill(ours, size)}
        # The set-ups of MLflow have one database; the last of them is the fastest.
        data |= dict.fromkeys((server.name for server in theirs), _fill(theirs[-1], size))
        print(f"\n{report.heading()}", flush=True)
        results = Results()
        for operation in given.ops:
            _measure(operation, compared, data, given, folder, results)
            print("\n".join(report.lines(results, operation.name)), flush=True)
    return results


def _fill(server: Server, size: Size) -> Data:
    def in_bulk(reading: str, curves: str) -> list[str]:
        assert server.bulk is not None
        server.bulk(Order(size, reading, curves))
        return [run_id(number) for number in range(size.runs)]

    return dataset.fill(server.client(), size, in_bulk if size.more_points else None)


def _measure(
    operation: Operation,
    compared: list[Server],
    data: dict[str, Data],
    given: argparse.Namespace,
    folder: Path,
    results: Results,
) -> None:
    """Check, measure in turns, check again. Raises WrongAnswer and NoLoad."""
    connections = 1 if operation.alone else min(2, given.connections) if operation.heavy else given.connections
    seconds = given.seconds * (3 if operation.heavy else 1)  # one answer may take seconds
    for server in compared:
        operation.check(server.client(), data[server.name], f"check-{server.name}")
    for number in range(given.rounds):
        # In every other round the order is turned round, so that nobody always comes after the same neighbour.
        for server in compared if number % 2 == 0 else compared[::-1]:
            own, mark = data[server.name], f"{server.name}-{number}"
            if number == 0 and not given.quick:
                script = operation.script(own, f"{mark}-warm")
                load.measure(server.url, server.headers, script, seconds=1, connections=connections, folder=folder)
            script = operation.script(own, mark)
            before = processor_seconds(server.roots)
            measured = load.measure(server.url, server.headers, script, seconds=seconds, connections=connections, folder=folder)
            used = processor_seconds(server.roots) - before
            results.add(operation.name, server.name, measured, used)
            if not measured.errors:  # they are told, and the one looked for may be among them
                operation.confirm(server.client(), own, mark, load.FIRST_SENT)
    # Told in one order, whoever came first.
    results.rounds[operation.name] = {server.name: results.rounds[operation.name][server.name] for server in compared}
    for server in compared:
        operation.check(server.client(), data[server.name], f"after-{server.name}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
