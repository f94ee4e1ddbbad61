"""Multiple testing: corrections over columns, and over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number: the probability of any false one at or below ``alpha`` is at most ``alpha``.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure". It needs no independence and finds
    never less than Bonferroni.

    >>> [round(value, 4) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    corrected = np.empty(count)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate((count - np.arange(count)) * np.asarray(p_values)[order]))
    found: list[float] = corrected.tolist()
    return found


def alpha_per_window(alpha: float, windows: float) -> float:
    """Return the level of each of ``windows`` tests with which the probability of any false alarm is at most ``alpha``.

    With a year's number of windows, ``alpha`` bounds the probability of a false alarm in a stationary year.
    Source: Bonferroni's inequality; it needs no independence.

    >>> alpha_per_window(0.05, 365) == 0.05 / 365
    True
    """
    return alpha / max(windows, 1.0)
