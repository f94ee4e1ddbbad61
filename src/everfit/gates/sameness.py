"""How far two predictions of the same rows are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def largest_difference(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The largest difference, absolute below 1 and relative above; infinite where shapes or NaNs differ.

    >>> import numpy as np
    >>> largest_difference(np.array([0.5, 2000.0]), np.array([0.5, 2001.0]))
    0.0004997501249375312
    """
    import numpy as np

    left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    # NaN twice and the same infinity twice are the same answer, though their difference is not zero.
    if left.shape != right.shape or not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return float("inf")
    finite = np.isfinite(left)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    return float(np.max(np.abs(left[finite] - right[finite]) / np.maximum(1.0, np.abs(right[finite]))))
