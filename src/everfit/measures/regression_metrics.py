"""Metrics of a regression: distances of predicted from true values, in the label's own unit unless stated otherwise.

All take ``truth`` and ``predicted``, finite float64 of shape ``(rows,)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from everfit.measures.weighting import Floats, Weighing, mean_of, ratio, total


def mae_on(truth: Floats, predicted: Floats) -> Weighing:
    """Mean absolute error."""
    return mean_of(np.abs(predicted - truth))


def rmse_on(truth: Floats, predicted: Floats) -> Weighing:
    """Root of the mean squared error.

    >>> rmse_on(np.array([1.0, 2.0]), np.array([2.0, 9.0]))(np.ones(2))
    5.0
    """
    squared = mean_of((predicted - truth) ** 2)
    return lambda weight: math.sqrt(squared(weight))


def pinball_on(truth: Floats, predicted: Floats, *, quantile: float) -> Weighing:
    """Mean pinball loss, least when ``predicted`` is the ``quantile`` of the label.

    Source: Koenker, Bassett 1978, "Regression quantiles". A prediction that is too low costs ``quantile`` per unit,
    one that is too high ``1 - quantile``.

    >>> pinball_on(np.array([10.0, 10.0]), np.array([8.0, 12.0]), quantile=0.9)(np.ones(2))
    1.0
    """
    return mean_of(_pinball(truth, predicted, quantile))


def bias_on(truth: Floats, predicted: Floats) -> Weighing:
    """Mean of ``predicted - truth``: positive when predictions are too high. Zero is best."""
    return mean_of(predicted - truth)


def r2_on(truth: Floats, predicted: Floats) -> Weighing:
    """Share of the label's variance that the prediction explains; no unit, at most 1, NaN for a constant label.

    Source: the coefficient of determination, ``1 - residual / total sum of squares``.

    >>> r2_on(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))(np.ones(3))
    0.5
    """
    squared = (predicted - truth) ** 2

    def weighing(weight: Floats) -> float:
        centre = ratio(total(weight, truth), float(weight.sum()))
        return 1.0 - ratio(total(weight, squared), total(weight, (truth - centre) ** 2))

    return weighing


def error_columns(truth: Floats, predicted: Floats) -> Mapping[str, Floats]:
    """Errors and losses of single rows, of which the metrics are means; each of shape ``(rows,)``."""
    return {
        "error": predicted - truth,
        "absolute": np.abs(predicted - truth),
        "pinball_10": _pinball(truth, predicted, 0.1),
        "pinball_90": _pinball(truth, predicted, 0.9),
    }


def _pinball(truth: Floats, predicted: Floats, quantile: float) -> Floats:
    short = truth - predicted
    return np.where(short >= 0, quantile * short, (quantile - 1.0) * short)
