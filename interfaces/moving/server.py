"""Read a running MLflow server by its REST protocol, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.errors import DomainError, Invalid, NotFound
from interfaces.moving.http import Http
from registry.moving import MovedModel, MovedVersion
from registry.names import IS_PROMPT_TAG
from tracking.limits import stored_value
from tracking.moving import MovedDataset, MovedExperiment, MovedLoggedModel, MovedPoint, MovedRun, known_status

_API = "/api/2.0/mlflow"
_RUNS_AT_ONCE = 100  # of which the history of one metric is asked for together
_MOST_POINTS = 25_000  # in one answer


class Server:
    """An MLflow server by its address."""

    lists_deleted_models = False

    def __init__(self, http: Http) -> None:
        """Ask the server for its experiments once. Raises NotFound if it is not reached, Denied, Invalid if it is no MLflow server."""
        self._http = http
        self._bulk = True
        self._experiments: list[str] = []
        self._metrics_of: dict[str, list[Any]] = {}  # of the logged models listed last: they come with them
        said = self._page("POST", "experiments/search", {"max_results": 1, "view_type": "ALL"})
        if not isinstance(said, dict) or (said and not isinstance(said.get("experiments"), list)):
            raise Invalid("This address does not answer as an MLflow server does.")

    def counts(self) -> dict[str, int]:
        """Return nothing: a server tells how many only by listing all."""
        return {}

    def notes(self) -> list[str]:
        """Say what the protocol does not show."""
        return ["Deleted logged models are left out: the protocol does not list them. A source database has them."]

    def experiments(self) -> Iterator[MovedExperiment]:
        """Yield all experiments."""
        self._experiments = []
        for row in self._pages("POST", "experiments/search", {"max_results": 1000, "view_type": "ALL"}, "experiments"):
            self._experiments.append(row["experiment_id"])
            created = int(row.get("creation_time") or 0)
            yield MovedExperiment(
                int(row["experiment_id"]),
                row["name"],
                row.get("artifact_location", ""),
                row.get("lifecycle_stage", "active"),
                created,
                int(row.get("last_update_time") or created),
                _pairs(row.get("tags")),
            )

    def runs(self) -> Iterator[list[MovedRun]]:
        """Yield all runs, oldest first, so that runs which begin meanwhile move no page."""
        for ids in self._some_experiments():
            asked = {
                "experiment_ids": ids,
                "run_view_type": "ALL",
                "max_results": 200,
                "order_by": ["attributes.start_time ASC"],
            }
            batch: list[MovedRun] = []
            for row in self._pages("POST", "runs/search", asked, "runs"):
                batch.append(self._run(row))
                if len(batch) == 200:
                    yield batch
                    batch = []
            if batch:
                yield batch

    def points(self, runs: Sequence[MovedRun]) -> Iterator[MovedPoint]:
        """Yield all points of runs, which were read just now."""
        for start in range(0, len(runs), _RUNS_AT_ONCE):
            keys: dict[str, list[str]] = {}
            for run in runs[start : start + _RUNS_AT_ONCE]:
                for key in filter(None, run.progress.split("\n")):
                    keys.setdefault(key.rpartition("=")[0], []).append(run.id)
            for key, ids in keys.items():
                yield from self._history(key, ids)

    def logged_models(self) -> Iterator[list[MovedLoggedModel]]:
        """Yield all logged models that were not deleted; none of a server older than MLflow 3."""
        for ids in self._some_experiments():
            batch: list[MovedLoggedModel] = []
            try:
                for row in self._pages("POST", "logged-models/search", {"experiment_ids": ids, "max_results": 50}, "models"):
                    batch.append(_logged_model(row))
                    self._metrics_of[batch[-1].id] = row.get("data", {}).get("metrics", [])
                    if len(batch) == 50:
                        yield batch
                        batch = []
                        self._metrics_of.clear()
            except NotFound:
                return
            if batch:
                yield batch
            self._metrics_of.clear()

    def model_points(self, models: Sequence[MovedLoggedModel]) -> Iterator[MovedPoint]:
        """Yield all points that were measured on logged models, which were read just now."""
        for model in models:
            for row in self._metrics_of.get(model.id, []):
                yield _point(row, row.get("run_id", ""), model.id)

    def models(self) -> Iterator[list[MovedModel]]:
        """Yield all registered models, then all prompts."""
        for which in ({}, {"filter": f"tags.`{IS_PROMPT_TAG}` = 'true'"}):
            batch: list[MovedModel] = []
            try:
                for row in self._pages("GET", "registered-models/search", {"max_results": 100, **which}, "registered_models"):
                    batch.append(_model(row))
                    if len(batch) == 100:
                        yield batch
                        batch = []
            except Invalid:
                if not which:  # an old server may not know the filter, and then has no prompts
                    raise
            if batch:
                yield batch

    def versions(self, models: Sequence[MovedModel]) -> list[MovedVersion]:
        """Return the versions of models."""
        found = []
        for model in models:
            quote = '"' if "'" in model.name else "'"
            asked = f"name = {quote}{model.name}{quote}"
            if model.tags.get(IS_PROMPT_TAG, "").lower() == "true":
                asked += f" AND tags.`{IS_PROMPT_TAG}` = 'true'"
            rows = self._pages("GET", "model-versions/search", {"filter": asked, "max_results": 1000}, "model_versions")
            found += [self._version(row) for row in rows]
        return sorted(found, key=lambda version: (version.model, version.number))

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _some_experiments(self) -> Iterator[list[str]]:
        if not self._experiments:
            self._experiments = [str(each.id) for each in self.experiments()]
        for start in range(0, len(self._experiments), 50):
            yield self._experiments[start : start + 50]

    def _run(self, row: dict[str, Any]) -> MovedRun:
        info = row["info"]
        # A search leaves out which logged models a run used.
        whole = self._page("GET", "runs/get", {"run_id": info["run_id"]})["run"]
        data, inputs = whole.get("data", {}), whole.get("inputs", {})
        end = info.get("end_time")
        return MovedRun(
            info["run_id"],
            int(info["experiment_id"]),
            info.get("run_name", ""),
            info.get("user_id", ""),
            info.get("status", "RUNNING"),
            int(info.get("start_time") or 0),
            int(end) if end else None,
            None,
            info.get("lifecycle_stage", "active"),
            info.get("artifact_uri", ""),
            _pairs(data.get("params")),
            _pairs(data.get("tags")),
            sorted((_dataset(each) for each in inputs.get("dataset_inputs", [])), key=lambda d: (d.name, d.digest)),
            sorted(each["model_id"] for each in inputs.get("model_inputs", [])),
            {each["model_id"]: int(each.get("step") or 0) for each in whole.get("outputs", {}).get("model_outputs", [])},
            "\n".join(
                sorted(
                    f"{m['key']}={m.get('step', 0)}/{m.get('timestamp', 0)}/{m.get('value', 0)}" for m in data.get("metrics", [])
                )
            ),
        )

    def _history(self, key: str, run_ids: Sequence[str]) -> Iterator[MovedPoint]:
        """Yield the history of one metric of several runs: by one request, if the server can and it is not too much for one."""
        if self._bulk:
            try:
                said = self._http.get(
                    "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
                    [*(("run_id", run_id) for run_id in run_ids), ("metric_key", key), ("max_results", _MOST_POINTS)],
                )
                rows = said.get("metrics", [])
                if len(rows) < _MOST_POINTS:
                    yield from (_point(row, row["run_id"], "") for row in rows)
                    return
            except DomainError:  # made for MLflow's own pages: a server may lack it, or not let us
                self._bulk = False
        for run_id in run_ids:
            asked = {"run_id": run_id, "metric_key": key, "max_results": _MOST_POINTS}
            for row in self._pages("GET", "metrics/get-history", asked, "metrics"):
                yield _point(row, run_id, "")

    def _version(self, row: dict[str, Any]) -> MovedVersion:
        name, number = row["name"], int(row["version"])
        source, location = row.get("source", ""), ""
        if source.startswith(("runs:", "models:")):
            asked = {"name": name, "version": str(number)}
            location = self._page("GET", "model-versions/get-download-uri", asked).get("artifact_uri", "")
        return MovedVersion(
            name,
            number,
            row.get("description"),
            row.get("user_id", ""),
            int(row.get("creation_timestamp") or 0),
            int(row.get("last_updated_timestamp") or 0),
            row.get("current_stage") or "None",
            source,
            location,
            row.get("run_id", ""),
            row.get("run_link", ""),
            row.get("status", "READY"),
            row.get("status_message", ""),
            _pairs(row.get("tags")),
        )

    def _pages(self, method: str, path: str, asked: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            said = self._page(method, path, {**asked, "page_token": token} if token else asked)
            yield from said.get(name, [])
            token = said.get("next_page_token", "")
            if not token:
                return

    def _page(self, method: str, path: str, asked: dict[str, Any]) -> Any:
        if method == "GET":
            return self._http.get(f"{_API}/{path}", asked)
        return self._http.post(f"{_API}/{path}", asked)


def _pairs(rows: list[dict[str, str]] | None) -> dict[str, str]:
    return {row["key"]: row.get("value", "") for row in rows or []}


def _dataset(row: dict[str, Any]) -> MovedDataset:
    said = row["dataset"]
    return MovedDataset(
        said["name"],
        said["digest"],
        said.get("source_type", ""),
        said.get("source", ""),
        said.get("schema"),
        said.get("profile"),
        _pairs(row.get("tags")),
    )


def _point(row: dict[str, Any], run_id: str, model_id: str) -> MovedPoint:
    value, is_nan = stored_value(float(row.get("value", 0)))
    return MovedPoint(
        run_id,
        row["key"],
        int(row.get("timestamp") or 0),
        int(row.get("step") or 0),
        value,
        is_nan,
        model_id,
        row.get("dataset_name", ""),
        row.get("dataset_digest", ""),
    )


def _logged_model(row: dict[str, Any]) -> MovedLoggedModel:
    info, data = row["info"], row.get("data", {})
    created = int(info.get("creation_timestamp_ms") or 0)
    return MovedLoggedModel(
        info["model_id"],
        int(info["experiment_id"]),
        info["name"],
        info.get("model_type", ""),
        known_status(info.get("status", "")),
        info.get("artifact_uri", ""),
        info.get("source_run_id", ""),
        created,
        int(info.get("last_updated_timestamp_ms") or created),
        None,
        _pairs(data.get("params")),
        _pairs(info.get("tags")),
        str(len(data.get("metrics", []))),
    )


def _model(row: dict[str, Any]) -> MovedModel:
    return MovedModel(
        row["name"],
        row.get("description", ""),
        int(row.get("creation_timestamp") or 0),
        int(row.get("last_updated_timestamp") or 0),
        _pairs(row.get("tags")),
        {each["alias"]: int(each["version"]) for each in row.get("aliases", [])},
    )
