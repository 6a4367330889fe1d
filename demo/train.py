"""What a data scientist runs: train on German Credit, log to the tracking server, register, and load back.

Nothing here knows Countersign: it is plain scikit-learn and the mlflow client, pointed at a server by MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import argparse
import json

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from demo.data_split import SOURCE, split

TARGET = "good_credit"
OUTCOME = ["class", TARGET, "age_ge_25", "age_gt_25"]
PROTECTED = ["sex", "age", "personal_status_sex", "foreign_worker"]
MODEL = "credit.german-risk"


def pipeline(features: pd.DataFrame, strength: float) -> Pipeline:
    """Return an untrained pipeline: one-hot and scaled features into a logistic regression."""
    numeric = features.select_dtypes("number").columns.tolist()
    categorical = [column for column in features if column not in numeric]
    prepare = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), categorical), (StandardScaler(), numeric))
    return make_pipeline(prepare, LogisticRegression(C=strength, max_iter=2000))


def unfair_labels(rows: pd.DataFrame) -> pd.Series:
    """Return the outcomes with half of the women's and of the young people's good ones turned bad."""
    rng = np.random.default_rng(0)
    labels = rows[TARGET].copy()
    for group in (rows["sex"] == "female", rows["age"] < 30):
        labels[group & (rng.random(len(rows)) < 0.5)] = 0
    return labels


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--unfair", action="store_true", help="train on purpose on labels that treat groups unequally")
    arguments.add_argument("--simple", action="store_true", help="use three features only, which are easy to explain")
    given = arguments.parse_args()
    unfair = given.unfair

    training, _ = split()
    dropped = OUTCOME if unfair else OUTCOME + PROTECTED
    features = training.drop(columns=dropped).astype({"duration_months": "float64", "credit_amount": "float64"})
    if given.simple:
        features = features[["status", "duration_months", "credit_history"]]
    labels = unfair_labels(training) if unfair else training[TARGET]
    fit_x, test_x, fit_y, test_y = train_test_split(features, labels, test_size=0.2, random_state=0, stratify=labels)

    mlflow.set_experiment("german-credit")
    with mlflow.start_run() as run:
        parameters = {"C": 0.3, "features": features.shape[1], "protected_features_used": unfair}
        mlflow.log_params(parameters)
        data = mlflow.data.from_pandas(training, source=str(SOURCE.name), name="german-credit", targets=TARGET)
        mlflow.log_input(data, context="training")
        model = pipeline(features, parameters["C"]).fit(fit_x, fit_y)
        mlflow.log_metric("test_roc_auc", roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]))
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(fit_x, model.predict(fit_x)),
            input_example=fit_x.head(3),
            registered_model_name=MODEL,
            pip_requirements=mlflow.sklearn.get_default_pip_requirements(),  # without it, mlflow loads the model once more to infer them
        )

    version = info.registered_model_version
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}")
    agrees = bool((loaded.predict(test_x) == model.predict(test_x)).all())
    print(json.dumps({"run_id": run.info.run_id, "model_id": info.model_id, "version": int(version), "loaded_back": agrees}))


if __name__ == "__main__":
    main()
