"""What both servers hold before anything is measured, put in through the protocol, but for what ``bulk`` puts in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.client import FILES, Client, Request, get, post

FILE_BYTES = 1_000_000
_PRIME = 10_007  # more than there are runs
BEGAN_MS = 1_750_000_000_000


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    models: int = 200
    versions: int = 3
    runs: int = 500
    points: int = 10_000
    written_to: int = 50  # models and runs that only the writes touch
    logged_to: int = 200  # runs that batches are logged to, one for each of the different requests
    files: int = 10
    more_points: int = 0  # of other metrics, put in by ``bulk``

    @property
    def buckets(self) -> int:
        """How many values the tag ``bucket`` has: about twenty versions share one."""
        return max(1, self.models * self.versions // 20)


FULL = Size()
QUICK = Size(models=20, versions=2, runs=40, points=1_000, written_to=10, logged_to=10, files=2)
LARGE = Size(models=20_000, versions=5, runs=10_000, more_points=1_000_000)


@dataclass(frozen=True)
class Data:
    """What was put in, with the ids the server gave."""

    size: Size
    runs: list[str]
    reading: str  # the experiment of these runs
    writing: str  # the experiment that only the writes touch
    history_run: str
    written_runs: list[str]
    logged_runs: list[str]
    sources: list[str]  # the folder of a model in each of the runs written to


def model_name(number: int) -> str:
    """Return the name of a model that is only read."""
    return f"credit-risk-{number:05d}"


def written_model(number: int) -> str:
    """Return the name of a model that writes touch."""
    return f"written-{number:05d}"


def champion(size: Size) -> int:
    """Return the version that the alias ``champion`` names in every model."""
    return max(1, size.versions - 1)


def bucket(size: Size, model: int, version: int) -> str:
    """Return the bucket of a version."""
    return str((model * size.versions + version) % size.buckets)


def run_of(size: Size, model: int) -> int:
    """Return the number of the run that the first version of a model came from."""
    return model % size.runs


def accuracy(run: int) -> float:
    """Return the accuracy a run logged; no two runs of the data set have the same."""
    return (run * 37 % _PRIME) / _PRIME


def run_metrics(run: int) -> list[tuple[str, float]]:
    """Return what a run that is only read logged."""
    return [("accuracy", accuracy(run)), *((f"m{i}", run + i / 10) for i in range(4))]


def run_params(run: int) -> list[tuple[str, str]]:
    """Return the parameters of a run that is only read."""
    return [("family", family(run)), *((f"p{i}", f"{run}.{i}") for i in range(4))]


def model_tags(number: int) -> list[dict[str, str]]:
    """Return the tags of a model that is only read."""
    return [{"key": "team", "value": f"team-{number % 7}"}, {"key": "task", "value": "classification"}]


def model_description(number: int) -> str:
    """Return what a model that is only read says of itself."""
    return f"Credit risk, segment {number}"


def version_tags(size: Size, model: int, version: int) -> list[dict[str, str]]:
    """Return the tags of a version that is only read."""
    return [{"key": "bucket", "value": bucket(size, model, version)}, {"key": "framework", "value": "sklearn"}]


def source(model: int, version: int) -> str:
    """Return where a version that is only read says its files lie."""
    return f"s3://models/{model_name(model)}/{version}"


def family(run: int) -> str:
    """Return the value of a parameter that half of the runs share."""
    return ("tree", "linear")[run % 2]


def file_path(data: Data, number: int) -> str:
    """Return where a file to download lies."""
    return f"{FILES}{data.reading}/downloads/{number}.bin"


def fill(client: Client, size: Size, bulk: Callable[[str, str], list[str]] | None = None) -> Data:
    """Put everything in and return it. Raises WrongAnswer at the first refusal.

    bulk: puts the models and runs that are only read into a database, given the experiments for runs and for curves, and
    returns the ids of the runs; without it they go through the protocol too.
    """
    reading, writing, curves = (
        str(client.ask(post("experiments/create", name=f"benchmark-{name}"))["experiment_id"])
        for name in ("reading", "writing", "curves")
    )
    if bulk is not None:
        runs = bulk(reading, curves)
    else:
        runs = client.each(lambda number: _run(client, reading, number), range(size.runs))
        client.each(lambda number: _model(client, size, number, runs[run_of(size, number)]), range(size.models))
    client.each(lambda number: _written_model(client, number), range(size.written_to))
    written = client.each(lambda _: _begin(client, writing), range(size.written_to))
    logged = client.each(lambda _: _begin(client, writing), range(size.logged_to))
    history_run = _begin(client, curves)
    for start in range(0, size.points, 1000):
        points = [
            {"key": "loss", "value": 1 / (step + 1), "timestamp": BEGAN_MS + step, "step": step}
            for step in range(start, min(start + 1000, size.points))
        ]
        client.send(post("runs/log-batch", run_id=history_run, metrics=points))
    sources = client.each(lambda run: _model_files(client, run), written)
    data = Data(size, runs, reading, writing, history_run, written, logged, sources)
    for number in range(size.files):
        client.send(Request("PUT", file_path(data, number), f"{number:08d}", FILE_BYTES - 8))
    return data


def _model(client: Client, size: Size, number: int, run_id: str) -> None:
    name = model_name(number)
    client.send(post("registered-models/create", name=name, tags=model_tags(number), description=model_description(number)))
    for version in range(1, size.versions + 1):
        tags = version_tags(size, number, version)
        run = {"run_id": run_id} if version == 1 else {}
        client.send(post("model-versions/create", name=name, source=source(number, version), tags=tags, **run))
    client.send(post("registered-models/alias", name=name, alias="champion", version=str(champion(size))))


def _written_model(client: Client, number: int) -> None:
    name = written_model(number)
    client.send(post("registered-models/create", name=name))
    for version in (1, 2):
        client.send(post("model-versions/create", name=name, source=f"s3://models/{name}/{version}"))


def _begin(client: Client, experiment: str) -> str:
    answer = client.ask(post("runs/create", experiment_id=experiment, start_time=BEGAN_MS, user_id="dana"))
    return str(answer["run"]["info"]["run_id"])


def _run(client: Client, experiment: str, number: int) -> str:
    run_id = _begin(client, experiment)
    metrics = [{"key": key, "value": value, "timestamp": BEGAN_MS, "step": 1} for key, value in run_metrics(number)]
    params = [{"key": key, "value": value} for key, value in run_params(number)]
    client.send(post("runs/log-batch", run_id=run_id, metrics=metrics, params=params))
    return run_id


def _model_files(client: Client, run_id: str) -> str:
    uri = str(client.ask(get("runs/get", run_id=run_id))["run"]["info"]["artifact_uri"])
    folder = uri.partition(":")[2].lstrip("/") + "/model"
    for name, text in (("MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"), ("model.skops", run_id)):
        client.send(Request("PUT", f"{FILES}{folder}/{name}", text))
    return f"{uri}/model"
