"""Design effect: number of dependent rows of a day that carry as much information as one independent row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

_LEAST_BLOCKS = 5
_LEVEL = 0.05


def design_effect(values: Floats, blocks: NDArray[np.integer]) -> float:
    """Return the variance of block means over that of means of as many independent rows; at least 1.

    Source: Kish 1965, "Survey Sampling", chapter 8. An excess that chance alone may explain counts as 1.

    Args:
        values: Shape ``(rows,)``.
        blocks: The day, or other time block, of each row; shape ``(rows,)``.

    >>> dice = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(40), 100)
    >>> design_effect(dice.normal(size=4_000), day)
    1.0
    >>> 10 < design_effect(dice.normal(size=4_000) + dice.normal(size=40)[day] * 0.5, day) < 50
    True
    """
    from scipy.special import chdtrc

    names, place = np.unique(blocks, return_inverse=True)
    rows = np.bincount(place)
    whole = len(values) / len(names) if len(names) else 0.0
    # The first and last day are cut off; what they hold says little of a day.
    kept = rows >= whole / 2
    spread = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    if kept.sum() < _LEAST_BLOCKS or spread <= 0:
        return 1.0
    means = np.bincount(place, weights=values)[kept] / rows[kept]
    centre = float(np.average(means, weights=rows[kept]))
    statistic = float((rows[kept] * (means - centre) ** 2).sum()) / spread
    degrees = int(kept.sum()) - 1
    return max(1.0, statistic / degrees) if chdtrc(degrees, statistic) < _LEVEL else 1.0
