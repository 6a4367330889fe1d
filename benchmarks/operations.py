"""What is measured: for each operation the requests, and how to see that the server did what it was asked."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import dataset
from benchmarks.client import FILES, Client, Request, WrongAnswer, get, post
from benchmarks.dataset import FILE_BYTES, Data

COUNTER = "@N@"  # the load generator puts the number of the request in its place
CYCLE = 200  # so many different requests, then from the beginning
_BEGAN_MS = 1_750_000_000_000
_TAGS = [{"key": "team", "value": "credit"}, {"key": "stage", "value": "trial"}]

# (data, mark of the round, position in the cycle, number of the request) -> request
Build = Callable[[Data, str, int, str], Request]


@dataclass(frozen=True)
class Operation:
    """One operation. ``expect`` raises for a wrong answer, ``read_back`` for a write that did not happen."""

    name: str
    build: Build
    expect: Callable[[Data, int, bytes], None] | None = None
    read_back: Callable[[Client, Data, str, int], None] | None = None
    heavy: bool = False  # few connections, since more would only measure the queue, and longer
    alone: bool = False  # one connection: what a single client feels

    def script(self, data: Data, mark: str) -> list[Request]:
        """Return the requests of one round, the counter still to be put in."""
        return [self.build(data, mark, position, COUNTER) for position in range(CYCLE)]

    def check(self, client: Client, data: Data, mark: str) -> None:
        """Send a few requests and look at what comes of them. Raises WrongAnswer."""
        for number in (1, 2, 7):
            answer = client.send(self.build(data, mark, _position(number), str(number)))
            if self.expect is not None:
                try:
                    self.expect(data, _position(number), answer)
                except (KeyError, ValueError, IndexError, WrongAnswer) as error:
                    raise WrongAnswer(f"{client.name}: {self.name}: {error!r} in {answer[:300]!r}") from error
            self.confirm(client, data, mark, number)

    def confirm(self, client: Client, data: Data, mark: str, number: int, seconds: float = 10.0) -> None:
        """See that the request of this number does what it should within some seconds, if it changes anything.

        The load ends in the middle of requests, and the one looked for may be among these. Raises WrongAnswer.
        """
        if self.read_back is None:
            return
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.read_back(client, data, mark, number)
                return
            except (KeyError, ValueError, IndexError, StopIteration, WrongAnswer) as error:
                if time.monotonic() > deadline:
                    raise WrongAnswer(f"{client.name}: {self.name}: request {number} of {mark} did nothing: {error!r}") from error
            time.sleep(0.2)


def _position(number: int) -> int:
    return (number - 1) % CYCLE


def _model(data: Data, position: int) -> int:
    return position * 61 % data.size.models


def _version(data: Data, position: int) -> int:
    return position % data.size.versions + 1


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise WrongAnswer(f"{str(found)[:200]} instead of {str(wanted)[:200]}")


# --- reads ---------------------------------------------------------------------------------------------------------------------


def _get_version(data: Data, _mark: str, at: int, _n: str) -> Request:
    return get("model-versions/get", name=dataset.model_name(_model(data, at)), version=_version(data, at))


def _is_version(data: Data, at: int, answer: bytes) -> None:
    found = json.loads(answer)["model_version"]
    _same((found["name"], found["version"]), (dataset.model_name(_model(data, at)), str(_version(data, at))))
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    _same(tags["bucket"], dataset.bucket(data.size, _model(data, at), _version(data, at)))


def _get_alias(data: Data, _mark: str, at: int, _n: str) -> Request:
    return get("registered-models/alias", name=dataset.model_name(_model(data, at)), alias="champion")


def _is_champion(data: Data, at: int, answer: bytes) -> None:
    found = json.loads(answer)["model_version"]
    wanted = (dataset.model_name(_model(data, at)), str(dataset.champion(data.size)), ["champion"])
    _same((found["name"], found["version"], found["aliases"]), wanted)


def _get_latest(data: Data, _mark: str, at: int, _n: str) -> Request:
    return get("registered-models/get-latest-versions", name=dataset.model_name(_model(data, at)))


def _is_latest(data: Data, _at: int, answer: bytes) -> None:
    _same([found["version"] for found in json.loads(answer)["model_versions"]], [str(data.size.versions)])


def _search_models(_data: Data, _mark: str, _at: int, _n: str) -> Request:
    return get("registered-models/search", max_results=100)


def _are_models(data: Data, _at: int, answer: bytes) -> None:
    found = json.loads(answer)["registered_models"]
    wanted = [dataset.model_name(number) for number in range(min(100, data.size.models))]
    _same([model["name"] for model in found][: len(wanted)], wanted)
    _same(found[0]["latest_versions"][0]["version"], str(data.size.versions))


def _search_versions(data: Data, _mark: str, at: int, _n: str) -> Request:
    return get("model-versions/search", filter=f"tags.bucket = '{at % data.size.buckets}'", max_results=200)


def _are_versions(data: Data, at: int, answer: bytes) -> None:
    size, wanted = data.size, str(at % data.size.buckets)
    found = {(version["name"], int(version["version"])) for version in json.loads(answer)["model_versions"]}
    every = ((model, version) for model in range(size.models) for version in range(1, size.versions + 1))
    _same(found, {(dataset.model_name(m), v) for m, v in every if dataset.bucket(size, m, v) == wanted})


def _search_by_run(data: Data, _mark: str, at: int, _n: str) -> Request:
    run_id = data.runs[dataset.run_of(data.size, _model(data, at))]
    return get("model-versions/search", filter=f"run_id = '{run_id}'", max_results=200)


def _are_of_run(data: Data, at: int, answer: bytes) -> None:
    run = dataset.run_of(data.size, _model(data, at))
    found = {(version["name"], version["version"]) for version in json.loads(answer)["model_versions"]}
    _same(found, {(dataset.model_name(m), "1") for m in range(data.size.models) if dataset.run_of(data.size, m) == run})


def _get_run(data: Data, _mark: str, at: int, _n: str) -> Request:
    return get("runs/get", run_id=data.runs[at * 13 % len(data.runs)])


def _is_run(data: Data, at: int, answer: bytes) -> None:
    number = at * 13 % len(data.runs)
    run = json.loads(answer)["run"]
    _same(run["info"]["run_id"], data.runs[number])
    _same({m["key"]: m["value"] for m in run["data"]["metrics"]}["accuracy"], dataset.accuracy(number))
    _same({p["key"]: p["value"] for p in run["data"]["params"]}["family"], dataset.family(number))


def _search_runs(data: Data, _mark: str, _at: int, _n: str) -> Request:
    return post(
        "runs/search",
        experiment_ids=[data.reading],
        filter="metrics.accuracy > 0.25 and params.family = 'tree'",
        order_by=["metrics.accuracy DESC"],
        max_results=100,
    )


def _are_runs(data: Data, _at: int, answer: bytes) -> None:
    good = [n for n in range(len(data.runs)) if dataset.accuracy(n) > 0.25 and dataset.family(n) == "tree"]
    wanted = [data.runs[n] for n in sorted(good, key=dataset.accuracy, reverse=True)[:100]]
    _same([run["info"]["run_id"] for run in json.loads(answer)["runs"]], wanted)


def _history(data: Data, _mark: str, _at: int, _n: str) -> Request:
    return get("metrics/get-history", run_id=data.history_run, metric_key="loss")


def _is_history(data: Data, _at: int, answer: bytes) -> None:
    _same([point["step"] for point in json.loads(answer)["metrics"]], list(range(data.size.points)))


# --- writes --------------------------------------------------------------------------------------------------------------------


def _create_model(_data: Data, mark: str, _at: int, n: str) -> Request:
    return post("registered-models/create", name=f"made-{mark}-{n}", tags=_TAGS, description="made by the benchmark")


def _model_is_there(client: Client, _data: Data, mark: str, number: int) -> None:
    found = client.ask(get("registered-models/get", name=f"made-{mark}-{number}"))["registered_model"]
    _same({tag["key"]: tag["value"] for tag in found["tags"]}, {tag["key"]: tag["value"] for tag in _TAGS})


def _create_version(data: Data, mark: str, at: int, n: str) -> Request:
    place = at % data.size.written_to
    tags = [*_TAGS, {"key": "mark", "value": f"{mark}-{n}"}]
    name = dataset.written_model(place)
    return post("model-versions/create", name=name, source=data.sources[place], run_id=data.written_runs[place], tags=tags)


def _version_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    found = client.ask(get("model-versions/search", filter=f"tags.mark = '{mark}-{number}'"))["model_versions"]
    place = _position(number) % data.size.written_to
    _same([(v["name"], v["run_id"]) for v in found], [(dataset.written_model(place), data.written_runs[place])])


def _set_tag(data: Data, mark: str, at: int, n: str) -> Request:
    name = dataset.written_model(at % data.size.written_to)
    return post("model-versions/set-tag", name=name, version="1", key=f"{mark}-{at}", value=f"reviewed in week {n}")


def _tag_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    at = _position(number)
    name = dataset.written_model(at % data.size.written_to)
    found = client.ask(get("model-versions/get", name=name, version="1"))["model_version"]["tags"]
    next(tag for tag in found if tag["key"] == f"{mark}-{at}" and tag["value"].startswith("reviewed in week "))


def _set_alias(data: Data, mark: str, at: int, _n: str) -> Request:
    name, alias, version = _moved_alias(data, mark, at)
    return post("registered-models/alias", name=name, alias=alias, version=version)


def _moved_alias(data: Data, mark: str, at: int) -> tuple[str, str, str]:
    """Return model, alias and version: two aliases of each model move to and fro between its first two versions."""
    turn, place = divmod(at, data.size.written_to)
    return dataset.written_model(place), f"{mark}-{turn % 2}", str(turn // 2 % 2 + 1)


def _alias_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    name, alias, _ = _moved_alias(data, mark, _position(number))
    found = client.ask(get("registered-models/alias", name=name, alias=alias))["model_version"]
    _same((found["name"], found["version"] in ("1", "2")), (name, True))


def _create_run(data: Data, mark: str, _at: int, n: str) -> Request:
    tags = [{"key": "mark", "value": f"{mark}-{n}"}, {"key": "team", "value": "credit"}]
    return post("runs/create", experiment_id=data.writing, user_id="dana", run_name=f"run {n}", start_time=_BEGAN_MS, tags=tags)


def _run_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    filter_text = f"tags.mark = '{mark}-{number}'"
    found = client.ask(post("runs/search", experiment_ids=[data.writing], filter=filter_text, max_results=10))["runs"]
    _same([run["info"]["run_name"] for run in found], [f"run {number}"])


def _log_batch(data: Data, mark: str, at: int, n: str) -> Request:
    # Points and parameters nobody logged before: the ones may not be there twice, the others may not be changed.
    at_ms = _BEGAN_MS + zlib.crc32(mark.encode())
    metrics: list[dict[str, Any]] = [
        {"key": f"metric-{i}", "value": (at + i) / 7, "timestamp": at_ms, "step": COUNTER} for i in range(100)
    ]
    params = [{"key": f"{mark}-{n}-{i}", "value": f"value {i}"} for i in range(20)]
    request = post("runs/log-batch", run_id=data.logged_runs[at % data.size.logged_to], metrics=metrics, params=params)
    return Request(request.method, request.path, request.body.replace(f'"{COUNTER}"', n))


def _batch_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    run_id = data.logged_runs[_position(number) % data.size.logged_to]
    found = client.ask(get("runs/get", run_id=run_id))["run"]["data"]
    wanted = {f"{mark}-{number}-{i}" for i in range(20)}
    _same(wanted - {param["key"] for param in found["params"]}, set())
    _same({f"metric-{i}" for i in range(100)} - {metric["key"] for metric in found["metrics"]}, set())


# --- files ---------------------------------------------------------------------------------------------------------------------


def _put(data: Data, mark: str, at: int, n: str) -> Request:
    return Request("PUT", f"{FILES}{data.writing}/uploads/{mark}-{at}.bin", f"{mark}-{n}-", FILE_BYTES)


def _file_is_there(client: Client, data: Data, mark: str, number: int) -> None:
    content = client.send(Request("GET", f"{FILES}{data.writing}/uploads/{mark}-{_position(number)}.bin"))
    head, _, rest = content.rpartition(b"-")
    _same((head.rpartition(b"-")[0], len(rest)), (mark.encode(), FILE_BYTES))


def _download(data: Data, _mark: str, at: int, _n: str) -> Request:
    return Request("GET", dataset.file_path(data, at % data.size.files))


def _is_file(data: Data, at: int, answer: bytes) -> None:
    _same((answer[:8], len(answer)), (f"{at % data.size.files:08d}".encode(), FILE_BYTES))


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("get_model_version", _get_version, expect=_is_version),
        Operation("one_connection", _get_version, expect=_is_version, alone=True),
        Operation("get_by_alias", _get_alias, expect=_is_champion),
        Operation("get_latest_versions", _get_latest, expect=_is_latest),
        Operation("search_models", _search_models, expect=_are_models),
        Operation("search_versions_by_tag", _search_versions, expect=_are_versions),
        Operation("search_versions_by_run", _search_by_run, expect=_are_of_run),
        Operation("get_run", _get_run, expect=_is_run),
        Operation("search_runs", _search_runs, expect=_are_runs, heavy=True),
        Operation("metric_history", _history, expect=_is_history, heavy=True),
        Operation("create_registered_model", _create_model, read_back=_model_is_there),
        Operation("create_model_version", _create_version, read_back=_version_is_there),
        Operation("set_tag", _set_tag, read_back=_tag_is_there),
        Operation("set_alias", _set_alias, read_back=_alias_is_there),
        Operation("create_run", _create_run, read_back=_run_is_there),
        Operation("log_batch", _log_batch, read_back=_batch_is_there),
        Operation("artifact_put", _put, read_back=_file_is_there),
        Operation("artifact_get", _download, expect=_is_file),
    )
}
