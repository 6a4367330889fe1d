"""Labels as they are written: in a data set, in a policy, and by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance.checks.model import Label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def equals_label(values: np.ndarray, label: Label) -> np.ndarray:
    """Return where `values` is `label`: bool, shape (n,).

    A CSV holds 1 where a policy says "1" and a model answers 1.0, so a label that reads as a number is compared as one
    with numbers, and everything else as text.
    """
    import numpy as np
    import pandas as pd

    number = _as_number(label)
    if values.dtype.kind in "biuf" and number is not None:
        return np.asarray(values == number)
    if values.dtype.kind in "iuf":  # what does not read as a number is how none is written
        return np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "b" or are_texts(values):
        codes, different = pd.factorize(values)
        return np.asarray(_is_written(different, label)[codes])
    return _is_written(values, label)


def place_of(label: Label, classes: np.ndarray) -> int | None:
    """Return the first place of a label among classes, or None."""
    import numpy as np

    found = equals_label(classes, label)
    return int(np.argmax(found)) if bool(found.any()) else None


def are_texts(values: np.ndarray) -> bool:
    """Return whether all values are texts, so that equal ones are the same: 1, 1.0 and True are equal and written differently."""
    import pandas as pd

    return bool(pd.api.types.infer_dtype(values, skipna=False) == "string")


def array_of(column: pd.Series) -> np.ndarray:
    """Return a column without gaps as an array. Equal texts are one object, since of labels few differ in many rows."""
    import numpy as np

    if column.dtype == "str":
        codes, different = column.factorize()
        return np.asarray(np.asarray(different, dtype=object)[codes])
    values: np.ndarray = column.to_numpy()
    return values


def _is_written(values: np.ndarray, label: Label) -> np.ndarray:
    import numpy as np

    return np.asarray([str(value) == str(label) for value in values.tolist()], dtype=bool)


def _as_number(label: Label) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None
