"""Largest difference of predictions that counts as rounding: a property of the arithmetic that computed them.

The proof at packaging, the proof at loading and the gate `reload` all measure and judge with what is here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from everfit.core.evidence import Arithmetic, Task

TOLERANCES: Mapping[Arithmetic, float] = {"float64": 1e-9, "float32": 1e-6}
"""By the arithmetic of a runtime: sums in another order differ by some units in the last place, of which one is 1e-16
in float64 and 6e-8 in float32. XGBoost's trees differ by up to 2.4e-7 in treelite (2,000 trees, measured); a row that
takes another leaf differs by far more."""

FLOAT32_MAX = 3.4028234663852886e38
"""Largest number of float32 (IEEE 754 binary32)."""


def coarser(left: Arithmetic, right: Arithmetic) -> Arithmetic:
    """The arithmetic with fewer digits."""
    return "float32" if "float32" in (left, right) else "float64"


def relative_difference(predicted: NDArray[np.float64], expected: NDArray[np.float64], task: Task) -> float:
    """Largest difference of two predictions of the same rows, in units of the predictions' magnitude.

    The unit is 1 for probabilities. For regression it is a row's own expected value or the mean magnitude of all
    expected values, whichever is larger: a sum that ends near zero carries the rounding errors of its terms.

    Args:
        predicted: Float64, shape ``(rows,)`` or ``(rows, classes)``.
        expected: Float64, the same shape.
        task: The kind of prediction.

    Returns:
        At least 0; infinity where the shapes differ, or where one is NaN or infinite and the other is not the same.

    >>> import numpy as np
    >>> relative_difference(np.array([2000.0, 2.0]), np.array([2001.0, 1.0]), "regression")
    0.000999000999000999
    """
    predicted, expected = np.asarray(predicted, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if predicted.shape != expected.shape or not np.array_equal(finite, np.isfinite(predicted)):
        return float("inf")
    if not np.array_equal(predicted[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    predicted, expected = predicted[finite], expected[finite]
    distance = np.abs(predicted - expected)
    if not distance.any():
        return 0.0
    unit = np.ones_like(expected)
    if task == "regression":
        magnitude = np.abs(expected)
        unit = np.maximum(magnitude, magnitude.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(distance == 0, 0.0, distance / unit)))
