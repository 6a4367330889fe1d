"""A part of a total, both of them means over the same units."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit


def ratio_and_half_width(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, float]:
    """Return the sum of the parts over the sum of the wholes, and half the width of its 95 % interval.

    parts, wholes: one number per unit, shape (n,), n at least 2; the wholes do not sum to 0. Source: Cochran 1977, chapter 6 (ratio estimates).
    """
    ratio = float(parts.sum() / wholes.sum())
    left = parts - ratio * wholes
    error = math.sqrt(float((left**2).sum()) / (len(parts) * (len(parts) - 1))) / abs(float(wholes.mean()))
    return ratio, float(stdtrit(len(parts) - 1, 0.975)) * error
