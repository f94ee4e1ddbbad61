"""Confidence sequence: an upper bound of a mean after every value, valid at all times at once."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats


def upper_sequence(values: Floats, alpha: float, *, first: int) -> Floats:
    """Return an upper bound of the mean after each value.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021, "Time-uniform central limit theory and asymptotic
    confidence sequences" (arXiv 2103.06476), the one-sided sequence. It relies on means of many values being about
    normal, so it begins with ``first`` of them, where it is also tightest.

    Args:
        values: Independent, or at least without drift; shape ``(steps,)``.
        alpha: Bound of the probability that the mean ever exceeds its bound.
        first: Number of values before the first finite bound, at least 2.

    Returns:
        Shape ``(steps,)``, never rising; infinite before there are ``first`` values.

    >>> upper_sequence(np.tile([0.0, 1.0], 5_000), 0.05, first=100)[[0, 99, 9_999]].round(2).tolist()
    [inf, 0.67, 0.52]
    """
    count = np.arange(1, len(values) + 1, dtype=np.float64)
    mean = values.cumsum() / count
    variance = np.maximum((values**2).cumsum() / count - mean**2, 0.0) * count / np.maximum(count - 1, 1)
    width = 1.0 / max(first, 2)
    scaled = count * width + 1.0
    reach = np.sqrt(2.0 * scaled / (count * count * width) * np.log1p(np.sqrt(scaled) / (2.0 * alpha)))
    bound = mean + np.sqrt(variance) * reach
    bound[: first - 1] = np.inf
    return np.minimum.accumulate(bound)
