"""Artifacts: logged, listed, loaded and downloaded."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from story import PREFIX, check, step

client = MlflowClient()


@step()
def texts_dictionaries_and_folders_come_back_as_they_were() -> None:
    mlflow.set_experiment(f"{PREFIX}.files")
    with tempfile.TemporaryDirectory() as place, mlflow.start_run() as run:
        folder = Path(place) / "folder"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "ünï code.bin").write_bytes(bytes(range(256)) * 5000)
        (folder / "empty").write_bytes(b"")
        mlflow.log_text("grüße", "texts/note.txt")
        mlflow.log_dict({"a": [1, 2]}, "texts/data.json")
        mlflow.log_artifacts(str(folder), "folder")
        listed = {(f.path, f.is_dir) for f in client.list_artifacts(run.info.run_id)}
        check(listed == {("texts", True), ("folder", True)}, listed)
        deep = client.list_artifacts(run.info.run_id, "folder/deep")
        check([(f.path, f.file_size) for f in deep] == [("folder/deep/ünï code.bin", 1_280_000)], deep)
        check(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/texts/note.txt") == "grüße")
        check(mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/texts/data.json") == {"a": [1, 2]})
        back = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="folder", dst_path=place + "/back"))
        check((back / "deep" / "ünï code.bin").read_bytes() == bytes(range(256)) * 5000)
        check((back / "empty").read_bytes() == b"")
    check(client.list_artifacts(run.info.run_id, "nothing") == [])


@step("mlflow-3", "mlflow-2")
def tables_and_figures_come_back() -> None:
    import matplotlib
    import pandas as pd

    matplotlib.use("Agg")
    from matplotlib import pyplot

    mlflow.set_experiment(f"{PREFIX}.files")
    with mlflow.start_run() as run:
        mlflow.log_table({"question": ["a", "b"], "score": [0.5, 1.0]}, "eval/table.json")
        mlflow.log_table(pd.DataFrame({"question": ["c"], "score": [0.1]}), "eval/table.json")
        figure, axes = pyplot.subplots()
        axes.plot([1, 2])
        mlflow.log_figure(figure, "plots/line.png")
        pyplot.close(figure)
    table = mlflow.load_table("eval/table.json", run_ids=[run.info.run_id])
    check(list(table["question"]) == ["a", "b", "c"], table)
    with tempfile.TemporaryDirectory() as place:
        png = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="plots/line.png", dst_path=place)
        check(Path(png).read_bytes().startswith(b"\x89PNG"))
    tag = json.loads(client.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    check(tag == [{"path": "eval/table.json", "type": "table"}], tag)


@step()
def files_of_a_run_are_deleted_with_the_clients_own_call() -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = client.create_run(mlflow.set_experiment(f"{PREFIX}.files").experiment_id)
    client.log_text(run.info.run_id, "x", "a.txt")
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("a.txt")
    check(client.list_artifacts(run.info.run_id) == [])
