"""The data sets, and models that answer for them in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from governance.checks.subject import DatasetSpec, Subject

ROOT = Path(__file__).resolve().parents[2]
GERMAN = ROOT / "demo" / "data" / "german_credit.csv.gz"


@dataclass
class Answering:
    """A predictor that hands some columns to a model of scikit-learn. probable: whether it lets its probabilities be seen."""

    model: Any
    columns: list[str]
    probable: bool = True

    def load(self) -> None:
        """Do nothing: it is here already."""

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return the labels or numbers of these rows."""
        return self.model.predict(rows[self.columns])

    def probabilities(self, rows: pd.DataFrame) -> tuple[list[Any], Any] | None:
        """Return the classes and the probability of each, or None."""
        if not (self.probable and hasattr(self.model, "predict_proba")):
            return None
        return np.asarray(self.model.classes_).tolist(), self.model.predict_proba(rows[self.columns])

    def example(self) -> None:
        """Do nothing: there is none."""


@dataclass(frozen=True)
class Rows:
    """The rows that a check evaluates on, written where it reads them, beside those that the models were trained on.

    name: of the data set, as the page calls it. features: the columns that models take.
    """

    name: str
    folder: Path
    train: pd.DataFrame
    test: pd.DataFrame
    target: str
    features: list[str]

    def subject(self, model: Any, champion: Any = None, others: Any = None, second: Any = None) -> Subject:
        """Return the subject of a model of scikit-learn, or of another predictor, that is beside another one."""
        spec = DatasetSpec(self.written, self.target, 1, self.name)
        other = None if champion is None else Subject(self.folder, spec, predictor=self.answering(champion))
        found = Subject(self.folder, spec, seed=1, predictor=self.answering(model), champion=other, others=others or {})
        found.second = None if second is None else self.answering(second)
        return found

    def answering(self, model: Any) -> Any:
        """Return what answers for a model: itself, if it is a predictor."""
        return model if hasattr(model, "probabilities") else Answering(model, self.features)

    def only(self, columns: Sequence[str], most: int | None = None) -> Rows:
        """Return the same with fewer columns besides the target, and at most so many rows."""
        kept = [*columns, self.target]
        features = [name for name in self.features if name in kept]
        folder = self.folder / f"of-{len(columns)}-{most}"
        return Rows(self.name, folder, self.train[kept], self.test[kept].head(most or len(self.test)), self.target, features)

    @cached_property
    def written(self) -> Path:
        """The rows as Parquet, which keeps every digit."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "MLmodel").write_text("flavors: {}\n")
        self.test.to_parquet(self.folder / "rows.parquet", index=False)
        return self.folder / "rows.parquet"

    @cached_property
    def truth(self) -> np.ndarray:
        """The target of the rows, shape (n,)."""
        return np.asarray(self.test[self.target])


def classifier(rows: Rows, columns: list[str] | None = None, trees: bool = False) -> Any:
    """Return a model trained to tell the classes of the target from the features, or from some of them."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    model = (
        RandomForestClassifier(20, max_depth=6, random_state=0)
        if trees
        else LogisticRegression(max_iter=2000, class_weight="balanced")
    )
    return _pipeline(rows, columns or rows.features, model).fit(rows.train[rows.features], rows.train[rows.target])


def regressor(rows: Rows, columns: list[str] | None = None) -> Any:
    """Return a linear model trained to tell the target from the features, or from some of them."""
    from sklearn.linear_model import LinearRegression

    return _pipeline(rows, columns or rows.features, LinearRegression()).fit(
        rows.train[rows.features], rows.train[rows.target].astype(float)
    )


def _pipeline(rows: Rows, columns: list[str], model: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    words = [name for name in columns if rows.train[name].dtype.kind not in "iufb"]
    numbers = [name for name in columns if name not in words]
    parts = [("words", OneHotEncoder(handle_unknown="ignore"), words), ("numbers", StandardScaler(), numbers)]
    return make_pipeline(ColumnTransformer(parts), model)


def _halves(name: str, folder: Path, frame: pd.DataFrame, target: str, features: list[str], share: float = 0.6) -> Rows:
    """Return the rows in an order drawn once, the first ones to be trained on."""
    order = np.random.default_rng(7).permutation(len(frame))
    border = int(share * len(frame))
    train, test = (frame.iloc[part].reset_index(drop=True) for part in (order[:border], order[border:]))
    return Rows(name, folder / name.replace(" ", "-"), train, test, target, features)


_GERMAN = ["status", "duration_months", "credit_history", "credit_amount", "savings", "employment", "housing", "age"]


def german(folder: Path) -> Rows:
    """Return German Credit: who is a good risk."""
    return _halves("German Credit", folder, pd.read_csv(GERMAN), "good_credit", _GERMAN)


def terms(folder: Path) -> Rows:
    """Return German Credit, with the months that a credit runs."""
    features = ["credit_amount", "age", "savings", "housing"]
    return _halves("German Credit", folder / "terms", pd.read_csv(GERMAN), "duration_months", features)


def bundled(folder: Path, name: str) -> Rows:
    """Return a data set that comes with scikit-learn: `iris`, `wine`, `breast_cancer` or `diabetes`."""
    from sklearn import datasets

    given = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = given.frame.rename(columns=lambda each: each.replace(" ", "_"))
    features = [each for each in frame.columns if each != "target"]
    return _halves(name.replace("_", " "), folder, frame, "target", features, 0.5)


@dataclass(frozen=True)
class Folder:
    """The larger data sets in a folder, each as gzipped CSV."""

    path: Path
    into: Path

    def adult(self) -> Rows:
        """Return Adult with its published border between training and test: who earns more than 50,000 dollars."""
        frame = self._read("adult")
        features = ["age", "workclass", "education_num", "marital_status", "occupation", "hours_per_week", "capital_gain"]
        parts = [frame[frame["split"] == each].reset_index(drop=True) for each in ("train", "test")]
        return Rows("Adult", self.into / "adult", parts[0], parts[1], "income_gt_50k", features)

    def bank(self) -> Rows:
        """Return Bank Marketing: who subscribes, without the length of the call, which nobody knows before."""
        features = [
            "age",
            "job",
            "education",
            "default",
            "balance",
            "housing",
            "loan",
            "month",
            "campaign",
            "previous",
            "poutcome",
        ]
        return _halves("Bank Marketing", self.into, self._read("bank_marketing"), "subscribed", features)

    def hospital(self) -> Rows:
        """Return Diabetes 130-US hospitals: who comes back within 30 days."""
        features = [
            "age", "discharge_disposition_id", "time_in_hospital", "num_lab_procedures", "num_procedures", "num_medications",
            "number_diagnoses", "insulin", "had_emergency", "had_inpatient_days", "had_outpatient_days",
        ]  # fmt: skip
        return _halves("Diabetes 130-US", self.into, self._read("diabetes_readmission"), "readmit_30_days", features, 0.8)

    def stays(self) -> Rows:
        """Return the same hospitals, with three classes: not again, later, within 30 days."""
        frame = self._read("diabetes_readmission").head(30_000)
        features = ["time_in_hospital", "num_medications", "number_diagnoses", "had_emergency", "had_inpatient_days"]
        return _halves("Diabetes 130-US", self.into / "stays", frame, "readmitted", features, 0.6)

    def hours(self) -> Rows:
        """Return Adult, with the hours that somebody works in a week."""
        rows = self.adult()
        features = ["age", "education_num", "sex", "workclass", "capital_gain"]
        return Rows("Adult", self.into / "hours", rows.train, rows.test, "hours_per_week", features)

    def _read(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.path / f"{name}.csv.gz", keep_default_na=False)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its name."""
        names = ("adult", "bank_marketing", "diabetes_readmission")
        return {name: digest(self.path / f"{name}.csv.gz") for name in names}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
