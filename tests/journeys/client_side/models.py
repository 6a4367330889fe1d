"""Models: logged, registered, loaded back by every address, and evaluated."""

from __future__ import annotations

import functools
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from story import IS_3, PREFIX, check, refused, step

client = MlflowClient()
NAME = f"{PREFIX}.model"


@functools.cache
def rows() -> tuple[pd.DataFrame, Any]:
    values, labels = make_classification(n_samples=200, n_features=4, random_state=7)
    return pd.DataFrame(values, columns=["a", "b", "c", "d"]), labels


def log_model(model: Any, **options: Any) -> Any:
    options["name" if IS_3 else "artifact_path"] = "model"
    frame, _ = rows()
    signature = infer_signature(frame, model.predict(frame))
    requirements = ["scikit-learn"]  # guessing them starts another interpreter
    return mlflow.sklearn.log_model(model, signature=signature, pip_requirements=requirements, **options)


@functools.cache
def logged() -> Any:
    """Return a model, what logging it gave, and its run."""
    mlflow.set_experiment(f"{PREFIX}.models")
    frame, labels = rows()
    model = LogisticRegression().fit(frame, labels)
    with mlflow.start_run() as run:
        info = log_model(model, registered_model_name=NAME)
    return model, info, run.info.run_id


@step()
def a_model_is_loaded_back_by_every_address_and_predicts_the_same() -> None:
    model, info, run_id = logged()
    client.set_registered_model_alias(NAME, "candidate", "1")
    client.transition_model_version_stage(NAME, "1", "Staging")
    frame, _ = rows()
    wanted = model.predict(frame)
    addresses = [
        f"models:/{NAME}/1",
        f"models:/{NAME}/Staging",
        f"models:/{NAME}@candidate",
        f"models:/{NAME}/latest",
        info.model_uri,
    ]
    if IS_3:
        check(info.model_uri == f"models:/{info.model_id}" and info.model_id.startswith("m-"), info.model_uri)
    addresses.append(f"runs:/{run_id}/model")
    for address in addresses:
        check(np.array_equal(mlflow.pyfunc.load_model(address).predict(frame), wanted), address)
    check(np.array_equal(mlflow.sklearn.load_model(f"models:/{NAME}/1").predict_proba(frame), model.predict_proba(frame)))
    with refused("RESOURCE_DOES_NOT_EXIST"):
        mlflow.pyfunc.load_model(f"models:/{NAME}/99")


@step()
def a_registered_version_says_where_it_came_from() -> None:
    _, info, run_id = logged()
    version = client.get_model_version(NAME, "1")
    check((version.status, version.run_id, version.current_stage) == ("READY", run_id, "Staging"), version)
    check(client.get_latest_versions(NAME, ["Staging"])[0].version == version.version)
    check(client.get_model_version_by_alias(NAME, "candidate").version == version.version)
    again = mlflow.register_model(info.model_uri, NAME, tags={"by": "address"})
    check(str(again.version) == "2" and client.get_model_version(NAME, "2").tags == {"by": "address"}, again)
    check(client.get_model_version(NAME, "2").run_id == run_id)


@step("mlflow-3")
def logged_models_are_found_with_their_metrics() -> None:
    _, info, run_id = logged()
    frame, labels = rows()
    found = client.get_logged_model(info.model_id)
    check(found.source_run_id == run_id and found.status == "READY", found)
    data = mlflow.data.from_pandas(frame.assign(y=labels), name="held-out", targets="y")
    with mlflow.start_run(run_id=run_id):
        mlflow.log_metric("auc", 0.91, model_id=info.model_id, dataset=data)
    mlflow.set_logged_model_tags(info.model_id, {"kept": "yes"})
    listed = mlflow.search_logged_models(
        [found.experiment_id],
        filter_string="metrics.auc > 0.9 AND tags.kept = 'yes'",
        datasets=[{"dataset_name": "held-out"}],
        output_format="list",
    )
    check([model.model_id for model in listed] == [info.model_id], listed)
    check([(m.key, m.value, m.dataset_name) for m in listed[0].metrics] == [("auc", 0.91, "held-out")], listed[0].metrics)
    check([out.model_id for out in client.get_run(run_id).outputs.model_outputs] == [info.model_id])
    check(mlflow.search_logged_models([found.experiment_id]).shape[0] == 1)


@step("mlflow-3")
def a_logged_model_is_initialised_first_and_finished_later() -> None:
    mlflow.set_experiment(f"{PREFIX}.models")
    model = mlflow.initialize_logged_model(name="by hand", params={"depth": "3"}, tags={"a": "b"}, model_type="agent")
    check(model.status == "PENDING")
    mlflow.log_model_params({"late": "1"}, model_id=model.model_id)
    read = mlflow.finalize_logged_model(model.model_id, "READY")
    check(read.status == "READY" and mlflow.get_logged_model(model.model_id).params == {"depth": "3", "late": "1"}, read)
    mlflow.delete_logged_model_tag(model.model_id, "a")
    check("a" not in mlflow.get_logged_model(model.model_id).tags)
    client.delete_logged_model(model.model_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_logged_model(model.model_id)


@step()
def a_python_model_keeps_its_files_and_its_parameters() -> None:
    class Adder(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["x"] + (params or {}).get("by", 1)

    frame = pd.DataFrame({"x": [1.0, 2.0]})
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            python_model=Adder(),
            signature=infer_signature(frame, frame["x"], params={"by": 1}),
            input_example=frame,
            pip_requirements=["cloudpickle"],
            **{"name" if IS_3 else "artifact_path": "adder"},
        )
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    check(list(loaded.predict(frame, params={"by": 5})) == [6.0, 7.0])


@step()
def a_classifier_is_evaluated() -> None:
    logged()
    frame, labels = rows()
    evaluate = mlflow.models.evaluate if IS_3 else mlflow.evaluate
    with mlflow.start_run() as run:
        result = evaluate(
            f"models:/{NAME}/1",
            frame.assign(y=labels),
            targets="y",
            model_type="classifier",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )
    read = client.get_run(run.info.run_id)
    check(0.5 < result.metrics["accuracy_score"] == read.data.metrics["accuracy_score"], read.data.metrics)
    check(len(read.inputs.dataset_inputs) == 1, read.inputs)
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    check(any("confusion_matrix" in path for path in files), files)
