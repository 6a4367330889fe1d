"""What may be logged: names, sizes and numbers, as the protocol limits them. Pure."""

from __future__ import annotations

import math
import posixpath
import re
import sys
from functools import lru_cache

from core.errors import Invalid

MAX_KEY = 250
MAX_PARAM = 6000
MAX_RUN_TAG = 8000
MAX_FIRST_TAG = 100_000  # of a new run, where the protocol neither cuts nor refuses
MAX_EXPERIMENT_TAG = 20_000
MAX_EXPERIMENT_NAME = 500
MAX_RUN_NAME = 250
MAX_LOCATION = 2048
MAX_METRICS_PER_BATCH, MAX_PARAMS_PER_BATCH, MAX_TAGS_PER_BATCH, MAX_PER_BATCH = 1000, 100, 100, 1000

_KEY = re.compile(r"[/\w.\- :]+\Z")
_LOGGED_MODEL_NAME = re.compile(r"""[^/:.%"']+\Z""")


@lru_cache(maxsize=10_000)  # a training loop logs the same names with each step
def check_key(kind: str, key: str) -> None:
    """Return if a metric, parameter or run tag may have this name. Raises Invalid."""
    if not key or not _KEY.match(key):
        raise Invalid(f"{key!r} is no name for a {kind}: use letters, digits, and the signs `_ - . : /` and space.")
    if len(key) > MAX_KEY:
        raise Invalid(f"The name of a {kind} has at most {MAX_KEY} characters.")
    if key in (".", "..") or ("/" in key and (posixpath.normpath(key) != key or key.startswith(("/", "../")))):
        raise Invalid(f"{key!r} is no name for a {kind}: read as a path, it must be relative and have no empty or dotted steps.")


def check_experiment_name(name: str) -> None:
    """Return if an experiment may have this name. Raises Invalid."""
    if not name or len(name) > MAX_EXPERIMENT_NAME:
        raise Invalid(f"The name of an experiment has 1 to {MAX_EXPERIMENT_NAME} characters.")


def check_run_name(name: str) -> None:
    """Return if a run may have this name. Raises Invalid."""
    if len(name) > MAX_RUN_NAME:
        raise Invalid(f"The name of a run has at most {MAX_RUN_NAME} characters.")


def check_experiment_tag(key: str, value: str) -> None:
    """Return if an experiment may have this tag. Raises Invalid."""
    check_key("tag", key)
    if len(value) > MAX_EXPERIMENT_TAG:
        raise Invalid(f"The value of an experiment's tag has at most {MAX_EXPERIMENT_TAG} characters.")


def check_logged_model_name(name: str) -> None:
    """Return if a logged model may have this name. Raises Invalid."""
    if not _LOGGED_MODEL_NAME.match(name) or len(name) > 500:
        raise Invalid(f"{name!r} is no name for a model: it must not be empty or hold any of / : . % \" '.")


def check_point(timestamp_ms: int) -> None:
    """Return if a metric may have been measured at this time. Raises Invalid."""
    if timestamp_ms < 0:
        raise Invalid("The timestamp of a metric must not be negative.")


def check_batch(metrics: int, params: int, tags: int) -> None:
    """Return if one batch may hold so much. Raises Invalid."""
    for count, most, kind in (
        (metrics, MAX_METRICS_PER_BATCH, "metrics"),
        (params, MAX_PARAMS_PER_BATCH, "params"),
        (tags, MAX_TAGS_PER_BATCH, "tags"),
        (metrics + params + tags, MAX_PER_BATCH, "items in total"),
    ):
        if count > most:
            raise Invalid(f"A batch may hold up to {most} {kind}; this one has {count}. Split it.")


def stored_value(value: float) -> tuple[float, bool]:
    """Return a metric's value as it is stored: NaN as 0 with a flag, infinities clamped to the largest double."""
    if math.isnan(value):
        return 0.0, True
    if math.isinf(value):
        return math.copysign(sys.float_info.max, value), False
    return value, False
