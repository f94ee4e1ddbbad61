"""Confidence limits of the mean of dependent values, from the means of time blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.confidence import student_quantile
from everfit.measures.weighting import Floats


class MeanLimit(Struct, frozen=True, kw_only=True):
    """A mean with its one-sided confidence limits."""

    mean: float
    low: float
    high: float
    blocks: int
    """Number of time blocks with values."""


def mean_limit(values: Floats, blocks: NDArray[Any], *, alpha: float) -> MeanLimit | None:
    """Return the mean of values with its lower and upper confidence limit, each at level ``alpha``.

    Values of one block may depend on each other in any way; blocks are taken for independent. The standard error is
    that of a ratio of block totals, and the limits are those of Student's t with one degree of freedom less than there
    are blocks. Source: Cochran 1977, "Sampling Techniques", section 9A.2 (single-stage cluster sampling). ``None`` with
    fewer than two blocks.

    Args:
        values: Shape ``(rows,)``.
        blocks: The block of each value, shape ``(rows,)``.
        alpha: Chance of a true mean beyond the limit, in (0, 0.5).

    >>> dice = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(40), 100)
    >>> limit = mean_limit(dice.normal(size=4_000) + dice.normal(size=40)[day], day, alpha=0.05)
    >>> limit.low < 0 < limit.high, limit.blocks
    (True, 40)
    """
    names, place = np.unique(blocks, return_inverse=True)
    count = len(names)
    if count < 2:
        return None
    rows, totals = np.bincount(place), np.bincount(place, weights=values)
    mean = float(values.mean())
    error = math.sqrt(count / (count - 1) * float(((totals - mean * rows) ** 2).sum())) / len(values)
    reach = student_quantile(count - 1, 1.0 - alpha) * error
    return MeanLimit(mean=mean, low=mean - reach, high=mean + reach, blocks=count)
