"""Proper scoring rules: losses that are least when the stated chances are the true ones."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats, Weighing, mean_of, weigh

SMALLEST = float(np.finfo(np.float64).eps)
"""Chances are kept this far from 0 and 1, so that one confident mistake does not make the loss infinite."""


def log_loss(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The mean of ``-log(chance given to what happened)``, in nats.

    Source: Good 1952, "Rational decisions". Chances are cut at 2.2e-16.

    Args:
        truth: 0 or 1, or the class's index, shape ``(rows,)``; -1 is a class that has no column and so no chance.
        predicted: The chance of class 1, shape ``(rows,)``, or of each class, shape ``(rows, classes)``.
        weight: How often each row counts, shape ``(rows,)``, not negative.

    >>> round(log_loss(np.array([0.0, 1.0]), np.array([0.5, 0.5])), 4)
    0.6931
    >>> round(log_loss(np.array([2.0]), np.array([[0.25, 0.25, 0.5]])), 4)
    0.6931
    """
    return weigh(log_loss_on(truth, predicted), weight, len(truth))


def log_loss_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`log_loss` of fixed rows."""
    return mean_of(-np.log(np.clip(chance_of_truth(truth, predicted), SMALLEST, 1.0 - SMALLEST)))


def chance_of_truth(truth: Floats, predicted: Floats) -> Floats:
    """The chance that was given to what happened, shape ``(rows,)``; 0 where the truth is a class without a column.

    Arguments as for :func:`log_loss`.
    """
    if predicted.ndim == 1:
        chance: Floats = np.where(truth > 0, predicted, 1.0 - predicted)
    else:
        chance = predicted[np.arange(len(truth)), truth.astype(np.intp)]
    return np.where(truth < 0, 0.0, chance)


def brier(truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """The mean squared difference between the chance and what happened (0 or 1).

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", with one class counted, so that
    it lies between 0 and 1. A row of a third class, -1, costs 1. Arguments as for :func:`log_loss`, binary.

    >>> brier(np.array([0.0, 1.0]), np.array([0.5, 1.0]))
    0.125
    """
    return weigh(brier_on(truth, predicted), weight, len(truth))


def brier_on(truth: Floats, predicted: Floats) -> Weighing:
    """:func:`brier` of fixed rows."""
    return mean_of((1.0 - chance_of_truth(truth, predicted)) ** 2)
