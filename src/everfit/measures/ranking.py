"""Metrics of ranking: positive rows before negative ones by their score."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats, Weighing, total


def roc_auc_on(truth: Floats, predicted: Floats) -> Weighing:
    """Probability that a positive row scores above a negative one, ties counting one half.

    Source: the area of Fawcett 2006, "An introduction to ROC analysis", algorithm 3, as the rank statistic it equals.

    Args:
        truth: 0 or 1, shape ``(rows,)``; -1 is a third class, a row of which counts as a negative one that scores above
            every other row.
        predicted: Any finite score, shape ``(rows,)``.

    Returns:
        From 0 to 1; NaN unless both classes have weight.

    >>> roc_auc_on(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))(np.ones(4))
    0.75
    """
    curve = _Curve(truth, predicted)

    def weighing(weight: Floats) -> float:
        hits, misses = curve.gained(weight)
        positive, negative = float(hits.sum()), float(misses.sum())
        if positive <= 0 or negative <= 0:
            return float("nan")
        # Each positive row beats the negative ones after its threshold, and half of those at it.
        beaten = negative - misses.cumsum() + 0.5 * misses
        return total(hits, beaten) / (positive * negative)

    return weighing


def average_precision_on(truth: Floats, predicted: Floats) -> Weighing:
    """Precision at each threshold, weighted by the recall gained there.

    It is the step-wise sum, without interpolation, so that it is not optimistic (Davis, Goadrich 2006, "The
    relationship between precision-recall and ROC curves"). Arguments as for :func:`roc_auc_on`; NaN without a
    positive row.

    >>> round(average_precision_on(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))(np.ones(4)), 4)
    0.8333
    """
    curve = _Curve(truth, predicted)

    def weighing(weight: Floats) -> float:
        hits, misses = curve.gained(weight)
        found = hits.cumsum()
        positive = float(found[-1])
        if positive <= 0:
            return float("nan")
        # Above the first threshold with weight there is nothing found, so that any positive divisor gives zero.
        precision = found / np.maximum((hits + misses).cumsum(), np.finfo(np.float64).tiny)
        return total(hits, precision) / positive

    return weighing


class _Curve:
    """The rows from the highest score down, cut where the score changes."""

    def __init__(self, truth: Floats, predicted: Floats) -> None:
        score = np.where(truth < 0, np.inf, predicted)
        self._order = np.argsort(-score, kind="stable")
        ranked = score[self._order]
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self._starts = None if len(starts) == len(ranked) else starts
        self._positive = (truth > 0).astype(np.float64)[self._order]

    def gained(self, weight: Floats) -> tuple[Floats, Floats]:
        """Weight of the positive and of the negative rows at each threshold, the highest first."""
        ordered = weight[self._order]
        hits = ordered * self._positive
        misses = ordered - hits
        if self._starts is None:
            return hits, misses
        return np.add.reduceat(hits, self._starts), np.add.reduceat(misses, self._starts)
