"""How far a predicted value is from the true one, in the label's own unit unless said otherwise.

All take ``truth`` and ``predicted``, finite float64 of shape ``(rows,)``, and ``weight``, how often each row counts.
"""

from __future__ import annotations

import math

import numpy as np

from everfit.measures.weighting import Floats, Weighing, mean_of, ratio, total, weigh


def mae(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The mean absolute error.

    >>> mae(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """
    return weigh(mae_on(truth, predicted), weight, len(truth))


def mae_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`mae` of fixed rows."""
    return mean_of(np.abs(predicted - truth))


def rmse(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The root of the mean squared error.

    >>> rmse(np.array([1.0, 2.0]), np.array([2.0, 9.0]))
    5.0
    """
    return weigh(rmse_on(truth, predicted), weight, len(truth))


def rmse_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`rmse` of fixed rows."""
    squared = mean_of((predicted - truth) ** 2)
    return lambda weight: math.sqrt(squared(weight))


def pinball(truth: Floats, predicted: Floats, weight: Floats | None = None, *, quantile: float) -> float:
    """The mean pinball loss, least when ``predicted`` is the ``quantile`` of the label.

    Source: Koenker, Bassett 1978, "Regression quantiles". A prediction that is too low costs ``quantile`` per unit,
    one that is too high ``1 - quantile``.

    >>> pinball(np.array([10.0, 10.0]), np.array([8.0, 12.0]), quantile=0.9)
    1.0
    """
    return weigh(pinball_on(truth, predicted, quantile=quantile), weight, len(truth))


def pinball_on(truth: Floats, predicted: Floats, *, quantile: float) -> Weighing:
    """:func:`pinball` of fixed rows."""
    short = truth - predicted
    return mean_of(np.where(short >= 0, quantile * short, (quantile - 1.0) * short))


def bias(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The mean of ``predicted - truth``: positive when predictions are too high. Zero is best.

    >>> bias(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """
    return weigh(bias_on(truth, predicted), weight, len(truth))


def bias_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`bias` of fixed rows."""
    return mean_of(predicted - truth)


def r2(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The share of the label's variance that the prediction explains; no unit, at most 1, NaN for a constant label.

    Source: the coefficient of determination, ``1 - residual / total sum of squares``.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    """
    return weigh(r2_on(truth, predicted), weight, len(truth))


def r2_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`r2` of fixed rows."""
    squared = (predicted - truth) ** 2

    def weighing(weight: Floats) -> float:
        centre = ratio(total(weight, truth), float(weight.sum()))
        return 1.0 - ratio(total(weight, squared), total(weight, (truth - centre) ** 2))

    return weighing
