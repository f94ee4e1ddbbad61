"""Weightings of fixed rows: a measure is prepared once and evaluated for many weights.

Sorting, binning and taking logarithms depend on the rows alone; a bootstrap only changes how often each row counts. So
every measure ``…_on(truth, predicted)`` is prepared once for its rows and returns a :data:`Weighing`, which the
bootstrap calls hundreds of times.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Weighing = Callable[[Floats], float]
"""From the rows' weights, float64 of shape ``(rows,)`` and not negative, to the measure; NaN where it is undefined."""


def weigh(weighing: Weighing, weight: Floats | None, rows: int) -> float:
    """Evaluate a measure under these weights; without any, each row counts once."""
    return weighing(np.ones(rows) if weight is None else weight)


def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient, NaN where the denominator is not positive."""
    return float(numerator) / float(denominator) if denominator > 0 else float("nan")


def total(weight: Floats, values: Floats) -> float:
    """Return the sum of ``weight * values``.

    Not ``weight @ values``: BLAS splits a long product among threads, which costs a hundred times more than the sum
    when the cores are busy, and lets the last digit depend on how many there are.
    """
    return float((weight * values).sum())


def mean_of(values: Floats) -> Weighing:
    """Prepare the weighted mean of one value per row, shape ``(rows,)``.

    >>> mean_of(np.array([1.0, 4.0]))(np.array([2.0, 1.0]))
    2.0
    """
    return lambda weight: ratio(total(weight, values), float(weight.sum()))
