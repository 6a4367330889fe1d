"""Autologging: a fit leaves a run with parameters, metrics and a model that loads back and predicts the same."""

from __future__ import annotations

from typing import Any

import lightgbm
import mlflow
import numpy as np
import xgboost
from mlflow import MlflowClient
from models import rows
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from story import IS_3, PREFIX, check, step

client = MlflowClient()


def logged(run_id: str, params: set[str], metrics: set[str]) -> str:
    """Return the address of the one model that a run logged. Raises AssertionError if something else is missing."""
    read = client.get_run(run_id)
    check(read.info.status == "FINISHED", read.info)
    check(params <= set(read.data.params), read.data.params)
    check(metrics <= set(read.data.metrics), read.data.metrics)
    if IS_3:
        check(len(read.outputs.model_outputs) >= 1, read.outputs)
        return f"models:/{read.outputs.model_outputs[-1].model_id}"
    check("model" in {file.path for file in client.list_artifacts(run_id)})
    return f"runs:/{run_id}/model"


def fitted(fit: Any) -> tuple[Any, str]:
    with mlflow.start_run() as run:
        model = fit()
    return model, run.info.run_id


@step()
def scikit_learn() -> None:
    mlflow.set_experiment(f"{PREFIX}.autologging")
    mlflow.sklearn.autolog(log_datasets=True)
    frame, labels = rows()
    model, run_id = fitted(lambda: RandomForestClassifier(n_estimators=5, random_state=0).fit(frame, labels))
    address = logged(run_id, {"n_estimators"}, {"training_accuracy_score", "training_roc_auc"})
    check(np.array_equal(mlflow.sklearn.load_model(address).predict(frame), model.predict(frame)))
    check(len(client.get_run(run_id).inputs.dataset_inputs) == 1)
    mlflow.sklearn.autolog(log_models=False)  # each logged model starts an interpreter to find out what it needs
    grid = GridSearchCV(RandomForestClassifier(n_estimators=2, random_state=0), {"max_depth": [2, 3]}, cv=2)
    _, parent = fitted(lambda: grid.fit(frame, labels))
    children = client.search_runs([client.get_run(parent).info.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")
    check(len(children) == 2, children)
    mlflow.sklearn.autolog(disable=True)


@step()
def xgboost_booster() -> None:
    mlflow.xgboost.autolog(log_datasets=True, model_format="json")
    frame, labels = rows()
    data = xgboost.DMatrix(frame, labels)
    options = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
    booster, run_id = fitted(lambda: xgboost.train(options, data, num_boost_round=4, evals=[(data, "train")]))
    address = logged(run_id, {"max_depth", "num_boost_round"}, {"train-logloss"})
    check(len(client.get_metric_history(run_id, "train-logloss")) == 4)
    check(np.allclose(mlflow.xgboost.load_model(address).predict(data), booster.predict(data)))
    mlflow.xgboost.autolog(disable=True)


@step()
def lightgbm_booster() -> None:
    mlflow.lightgbm.autolog(log_datasets=True)
    frame, labels = rows()
    data = lightgbm.Dataset(frame, labels)
    options = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster, run_id = fitted(lambda: lightgbm.train(options, data, num_boost_round=4, valid_sets=[data], valid_names=["train"]))
    address = logged(run_id, {"objective", "num_boost_round"}, {"train-binary_logloss"})
    check(np.allclose(mlflow.lightgbm.load_model(address).predict(frame), booster.predict(frame)))
    mlflow.lightgbm.autolog(disable=True)
