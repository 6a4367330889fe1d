"""Fill a running MLflow server by its own client with one of everything. Run as a program: the client keeps state per process."""

from __future__ import annotations

import sys
import warnings

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from sklearn.linear_model import LogisticRegression


def fill(url: str) -> None:
    warnings.simplefilter("ignore")
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    experiment = client.create_experiment("credit", tags={"team": "risk"})
    gone = client.create_experiment("abandoned")
    client.create_run(gone, run_name="lost")
    client.delete_experiment(gone)
    mlflow.set_experiment("credit")
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = LogisticRegression().fit(x, [0, 0, 1, 1])
    with mlflow.start_run(run_name="outer") as outer:
        mlflow.log_params({"depth": "3", "note": "über"})
        mlflow.set_tag("team", "risk")
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            data = mlflow.data.from_numpy(x, name="applicants")
            mlflow.log_input(data, context="training", tags={"split": "train"})
            # Requirements are given, since finding them out loads the model in a process of its own.
            info = mlflow.sklearn.log_model(
                model, name="scorecard", pip_requirements=["scikit-learn"], registered_model_name="credit.risk"
            )
            mlflow.log_metric("auc", 0.81, step=1, model_id=info.model_id, dataset=data)
            mlflow.log_text("hello", "notes/readme.txt")
            client.log_batch(
                inner.info.run_id,
                metrics=[
                    *(Metric("loss", 1 / (i + 1), 1_700_000_000_000 + i, i) for i in range(300)),
                    Metric("odd", float("nan"), 1_700_000_000_000, 0),
                    Metric("odd", float("inf"), 1_700_000_000_001, 1),
                    Metric("odd", float("-inf"), 1_700_000_000_002, 2),
                    Metric("tiny", 0.1 + 0.2, 1_700_000_000_003, 5),
                ],
            )
        with mlflow.start_run(run_name="uses", nested=True) as uses:
            client.log_inputs(uses.info.run_id, models=[mlflow.entities.LoggedModelInput(info.model_id)])
    deleted = client.create_run(experiment, run_name="deleted")
    client.log_param(deleted.info.run_id, "kept", "yes")
    client.set_terminated(deleted.info.run_id)
    client.delete_run(deleted.info.run_id)
    unwanted = client.create_logged_model(experiment, name="unwanted")
    client.delete_logged_model(unwanted.model_id)
    client.update_registered_model("credit.risk", description="Scores applicants.")
    client.set_registered_model_tag("credit.risk", "owner", "risk")
    client.create_model_version("credit.risk", f"runs:/{inner.info.run_id}/notes", inner.info.run_id, description="second")
    client.copy_model_version("models:/credit.risk/1", "credit.copy")
    client.create_model_version("credit.risk", f"models:/{info.model_id}", model_id=info.model_id)
    client.delete_model_version("credit.risk", "3")
    client.set_model_version_tag("credit.risk", "1", "validated", "yes")
    client.transition_model_version_stage("credit.risk", "1", "Production")
    client.transition_model_version_stage("credit.risk", "2", "Staging")
    client.set_registered_model_alias("credit.risk", "champion", "1")
    client.set_registered_model_alias("credit.risk", "challenger", "2")
    client.create_registered_model("it's empty")
    client.register_prompt("greeting", "Hello {{name}}", tags={"tone": "kind"})
    client.set_prompt_alias("greeting", "live", 1)
    print(outer.info.run_id, inner.info.run_id, info.model_id)


if __name__ == "__main__":
    fill(sys.argv[1])
