"""How well a score ranks the positive rows before the negative ones."""

from __future__ import annotations

from typing import cast

import numpy as np

from everfit.measures.weighing import Floats, Weighing, total, weigh


def roc_auc(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The chance that a positive row scores above a negative one, ties counting one half.

    Source: the trapezoidal area of Fawcett 2006, "An introduction to ROC analysis", algorithm 3.

    Args:
        truth: 0 or 1, shape ``(rows,)``.
        predicted: Any finite score, shape ``(rows,)``.
        weight: How often each row counts, shape ``(rows,)``, not negative.

    Returns:
        From 0 to 1; NaN unless both classes have weight.

    >>> roc_auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return weigh(roc_auc_on(truth, predicted), weight, len(truth))


def roc_auc_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`roc_auc` of fixed rows."""
    curve = _Curve(truth, predicted)

    def weighing(weight: Floats) -> float:
        hits, misses = curve.counts(weight)
        positive, negative = float(hits[-1]), float(misses[-1])
        if positive <= 0 or negative <= 0:
            return float("nan")
        below_first = hits[0] * misses[0]
        # Each step to the right adds a trapezoid as wide as the misses it gained.
        area = below_first + total(np.diff(misses), hits[1:] + hits[:-1])
        return float(area) / (2.0 * positive * negative)

    return weighing


def average_precision(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The precision at each threshold, weighted by the recall gained there.

    It is the step-wise sum, without interpolation, so that it is not optimistic (Davis, Goadrich 2006, "The
    relationship between precision-recall and ROC curves"). Arguments as for :func:`roc_auc`; NaN without a positive
    row.

    >>> round(average_precision(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    return weigh(average_precision_on(truth, predicted), weight, len(truth))


def average_precision_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`average_precision` of fixed rows."""
    curve = _Curve(truth, predicted)

    def weighing(weight: Floats) -> float:
        hits, misses = curve.counts(weight)
        positive = float(hits[-1])
        if positive <= 0:
            return float("nan")
        precision = np.zeros_like(hits)
        taken = hits + misses
        np.divide(hits, taken, out=precision, where=taken > 0)
        gained = np.diff(hits, prepend=0.0)
        return total(gained, precision) / positive

    return weighing


class _Curve:
    """The rows from the highest score down, cut where the score changes."""

    def __init__(self, truth: Floats, predicted: Floats) -> None:
        self._order = np.argsort(-predicted, kind="stable")
        ranked = predicted[self._order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        # Without ties every row is a threshold, and picking them all would only copy.
        self._ends = slice(None) if len(ends) == len(ranked) else ends
        self._positive = truth[self._order]

    def counts(self, weight: Floats) -> tuple[Floats, Floats]:
        """Weight of the positive and of the negative rows at or above each threshold."""
        ordered = weight[self._order]
        hits = ordered * self._positive
        misses = ordered - hits
        return cast(Floats, hits.cumsum()[self._ends]), cast(Floats, misses.cumsum()[self._ends])
