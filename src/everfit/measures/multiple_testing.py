"""How to ask many questions and yet seldom be wrong: over columns, and over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_SUM = 2.109742801236892
"""Of ``1 / (j * log(j) ** 2)`` over all whole ``j`` from 2."""


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number: the chance of any at or below ``alpha`` by luck is at most ``alpha``.

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
    """What each of ``windows`` may spend, so that the chance of any false alarm in all of them is at most ``alpha``.

    With a year's number of windows, ``alpha`` is the chance of a false alarm in a stationary year, whichever year.
    Source: Bonferroni's inequality; it needs no independence.

    >>> alpha_per_window(0.05, 365) == 0.05 / 365
    True
    """
    return alpha / max(windows, 1.0)


def alpha_at_look(alpha: float, look: int) -> float:
    """What the ``look``-th window may spend, so that the chance of a false alarm *ever* is at most ``alpha``.

    It falls as ``1 / (k * log(k) ** 2)``, about as slowly as a sequence with a finite sum can. Never is dear: the
    365th window gets a seventieth of what :func:`alpha_per_window` gives it for a year. Source: the alpha spending of
    Foster, Stine 2008, "Alpha-investing", without the winnings.

    Args:
        alpha: The chance over the whole life.
        look: Which window it is, from 1.

    >>> [round(alpha_at_look(0.05, look), 5) for look in (1, 10, 365)]
    [0.02466, 0.00037, 0.0]
    """
    return alpha / (_SUM * (look + 1) * math.log(look + 1) ** 2)
