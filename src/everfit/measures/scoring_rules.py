"""Proper scoring rules: losses that are least when the stated probabilities are the true ones."""

from __future__ import annotations

import numpy as np

from everfit.measures.weighting import Floats, Weighing, mean_of


def log_loss_on(truth: Floats, predicted: Floats) -> Weighing:
    """Mean of ``-log(probability given to the true class)``, in nats.

    Source: Good 1952, "Rational decisions". Probabilities are kept 2.2e-16 from 0 and 1, so that one confident mistake
    does not make the loss infinite.

    Args:
        truth: 0 or 1, or the class's index, shape ``(rows,)``; -1 is a class that has no column and so probability 0.
        predicted: The probability of class 1, shape ``(rows,)``, or of each class, shape ``(rows, classes)``.

    >>> round(log_loss_on(np.array([2.0]), np.array([[0.25, 0.25, 0.5]]))(np.ones(1)), 4)
    0.6931
    """
    smallest = float(np.finfo(np.float64).eps)
    return mean_of(-np.log(np.clip(chance_of_truth(truth, predicted), smallest, 1.0 - smallest)))


def brier_on(truth: Floats, predicted: Floats) -> Weighing:
    """Mean squared difference between the probability and the outcome (0 or 1).

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", with one class counted, so that
    it lies between 0 and 1. A row of a third class, -1, costs 1. Arguments as for :func:`log_loss_on`, binary.

    >>> brier_on(np.array([0.0, 1.0]), np.array([0.5, 1.0]))(np.ones(2))
    0.125
    """
    return mean_of((1.0 - chance_of_truth(truth, predicted)) ** 2)


def chance_of_truth(truth: Floats, predicted: Floats) -> Floats:
    """Probability given to the true class, shape ``(rows,)``; 0 where it has no column. See :func:`log_loss_on`."""
    if predicted.ndim == 1:
        chance: Floats = np.where(truth > 0, predicted, 1.0 - predicted)
    else:
        chance = predicted[np.arange(len(truth)), truth.astype(np.intp)]
    return np.where(truth < 0, 0.0, chance)
