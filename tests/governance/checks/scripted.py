"""Models of our own writing, saved as MLflow saves code: each process that loads one runs it afresh."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

_SCRIPT = """
import mlflow
import numpy as np
import pandas as pd


class Custom(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
{load}

    def predict(self, context, model_input, params=None):
{predict}


mlflow.models.set_model(Custom())
"""


def save_script(folder: Path, predict: str, load: str = "pass", example: pd.DataFrame | None = None, answers: Any = None) -> Path:
    """Save a model that runs these lines. `rows = model_input`; the signature is that of the example and the answers."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    script = folder.with_suffix(".py")
    body = textwrap.indent("rows = model_input\n" + textwrap.dedent(predict).strip(), " " * 8)
    script.write_text(_SCRIPT.format(load=textwrap.indent(textwrap.dedent(load).strip(), " " * 8), predict=body))
    signature = None if example is None else infer_signature(example, answers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(str(folder), python_model=str(script), pip_requirements=[], signature=signature)
    return folder
