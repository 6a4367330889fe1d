"""Measured values as they are stored, and which of a batch is the newest of its metric."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tracking import limits


class MetricPoint(msgspec.Struct, frozen=True, gc=False):
    """A measured value. model_id: the logged model it was measured on, if any."""

    key: str
    value: float
    timestamp_ms: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class StoredPoint(msgspec.Struct, omit_defaults=True, gc=False):
    """A point as it is stored. newest: whether no other of its batch comes after it."""

    key: str
    timestamp_ms: int
    step: int
    value: float
    is_nan: bool = False
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""
    newest: bool = False


POINT_COLUMNS = {
    "run_id": "text",
    "key": "text",
    "timestamp_ms": "bigint",
    "step": "bigint",
    "value": "float8",
    "is_nan": "boolean",
    "model_id": "text",
    "dataset_name": "text",
    "dataset_digest": "text",
}
REPLACE_OLDER = f"""ON CONFLICT (run_id, key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in list(POINT_COLUMNS)[2:])}
 WHERE (excluded.step, excluded.timestamp_ms, excluded.value)
 > (tracking_latestmetric.step, tracking_latestmetric.timestamp_ms, tracking_latestmetric.value)"""


def stored(metrics: Sequence[MetricPoint]) -> list[StoredPoint]:
    """Return points as they are stored, in their order, the newest of each metric marked."""
    points: list[StoredPoint] = []
    newest: dict[str, tuple[tuple[int, int, float], StoredPoint]] = {}
    for p in metrics:
        value, is_nan = limits.stored_value(p.value)
        point = StoredPoint(p.key, p.timestamp_ms, p.step, value, is_nan, p.model_id, p.dataset_name, p.dataset_digest)
        points.append(point)
        rank = (p.step, p.timestamp_ms, value)
        if p.key not in newest or rank > newest[p.key][0]:
            newest[p.key] = (rank, point)
    for _, point in newest.values():
        point.newest = True
    return points
