"""Distribution-free confidence limits of a quantile."""

from __future__ import annotations

import math

import numpy as np

from everfit.measures.weighting import Floats

_REACH = 8.0
"""Standard deviations of the count, beyond which no bound lies."""


def quantile_bounds(values: Floats, quantile: float, *, alpha: float) -> tuple[float | None, float | None]:
    """Return the lower and upper confidence limit of a quantile, each at level ``alpha``.

    Both are values of the sample: how many of its values lie below the quantile is binomial. Source: David, Nagaraja
    2003, "Order statistics", section 7.1.

    Args:
        values: Independent, shape ``(rows,)``, at least one.
        quantile: In (0, 1).
        alpha: In (0, 0.5).

    Returns:
        ``None`` where even the least value may be above the quantile, or the greatest below it.

    >>> quantile_bounds(np.arange(1.0, 1_001.0), 0.99, alpha=0.01)
    (982.0, 998.0)
    >>> quantile_bounds(np.arange(1.0, 101.0), 0.99, alpha=0.01)
    (96.0, None)
    """
    from scipy.special import bdtr

    ordered, rows = np.sort(values), len(values)
    centre, reach = rows * quantile, _REACH * math.sqrt(rows * quantile * (1 - quantile)) + 1
    places = np.arange(max(int(centre - reach), 1), min(int(centre + reach) + 1, rows) + 1)
    # The chance that fewer values than a place's number lie below the quantile.
    fewer = bdtr(places - 1.0, rows, quantile)
    low = places[fewer <= alpha]
    high = places[fewer >= 1 - alpha]
    return (
        float(ordered[low[-1] - 1]) if len(low) else None,
        float(ordered[high[0] - 1]) if len(high) else None,
    )
