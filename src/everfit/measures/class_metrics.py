"""Metrics of classes: proper scoring rules of probabilities, and metrics of the likeliest class or of every class.

Proper scoring rules are least when the stated probabilities are the true ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from everfit.core.class_names import ClassValue
from everfit.measures.ranking import roc_auc_on
from everfit.measures.weighting import Floats, Weighing, mean_of


def likeliest(predicted: Floats) -> NDArray[np.intp]:
    """Index of the likeliest class, the first of equals; shape ``(rows,)``.

    A binary probability, shape ``(rows,)``, means class 1 where it is above one half.
    """
    if predicted.ndim == 1:
        return (predicted > 0.5).astype(np.intp)
    first: NDArray[np.intp] = predicted.argmax(axis=1)
    return first


def accuracy_on(truth: Floats, predicted: Floats) -> Weighing:
    """Share of rows whose likeliest class is the true one.

    Args:
        truth: 0 or 1, or the class's index, shape ``(rows,)``; -1 is a class that has no column and is never right.
        predicted: The probability of class 1, shape ``(rows,)``, or of each class, shape ``(rows, classes)``.

    >>> accuracy_on(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.9, 0.8]))(np.ones(4))
    0.75
    """
    return mean_of((likeliest(predicted) == truth).astype(np.float64))


def macro_f1_on(truth: Floats, predicted: Floats) -> Weighing:
    """Plain mean over classes of ``2 hits / (2 hits + false alarms + misses)``.

    Source: van Rijsbergen 1979, "Information retrieval", chapter 7. Averaged over the classes that are true or
    predicted somewhere with weight. Arguments as for :func:`accuracy_on`, multiclass.

    >>> macro_f1_on(np.array([0.0, 1.0]), np.array([[0.9, 0.1], [0.8, 0.2]]))(np.ones(2))
    0.3333333333333333
    """
    # One more class than there are chances, the last, for the truth -1.
    classes = predicted.shape[1] + 1
    cell = truth.astype(np.intp) % classes * classes + likeliest(predicted)

    def weighing(weight: Floats) -> float:
        confusion = np.bincount(cell, weights=weight, minlength=classes * classes).reshape(classes, classes)
        seen = confusion.sum(axis=0) + confusion.sum(axis=1)
        present = seen > 0
        if not present.any():
            return float("nan")
        return float(np.mean(2.0 * confusion.diagonal()[present] / seen[present]))

    return weighing


def macro_auc_on(truth: Floats, predicted: Floats) -> Weighing:
    """Plain mean over classes of the ROC AUC of that class against the rest.

    Source: Provost, Domingos 2000, "Well-trained PETs", unweighted. A class without a row, and one without a rest,
    has no AUC and is left out. A row of a class that the model does not know, since it has no column (-1) or is never
    given a probability, is in every class's rest, as if it scored above all others. Arguments as for
    :func:`accuracy_on`, multiclass.

    >>> macro_auc_on(np.array([0.0, 1.0]), np.array([[0.9, 0.1], [0.8, 0.2]]))(np.ones(2))
    1.0
    >>> macro_auc_on(np.array([0.0, 1.0, -1.0]), np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]))(np.ones(3))
    0.5
    """
    # A champion and a candidate that do not know the same classes have a column of zeros for the other's.
    known = np.flatnonzero(predicted.any(axis=0))
    unknown = ~np.isin(truth, known)
    areas_on = [
        roc_auc_on(np.where(unknown, -1.0, (truth == label).astype(np.float64)), predicted[:, label]) for label in known
    ]

    def weighing(weight: Floats) -> float:
        areas = np.array([area_on(weight) for area_on in areas_on])
        defined = areas[~np.isnan(areas)]
        if len(defined):
            return float(defined.mean())
        return 0.0 if weight[unknown].any() else float("nan")

    return weighing


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


def union_of(classes: Sequence[ClassValue], others: Sequence[ClassValue]) -> tuple[ClassValue, ...]:
    """Return classes in their order, then those of the others that are not among them."""
    return tuple(dict.fromkeys((*classes, *others)))


def aligned(predicted: Floats, known: Sequence[ClassValue], wanted: Sequence[ClassValue]) -> Floats:
    """Reorder probabilities to another order of classes: 0 for a class that the model does not know.

    ``predicted`` is the probability of each known class, shape ``(rows, len(known))``; of two, that of the last may be
    given alone, shape ``(rows,)``, as is the result then. Raises ``KeyError`` if those wanted are not the same two.

    >>> aligned(np.array([[0.7, 0.3]]), ["a", "b"], ["b", "c", "a"]).tolist()
    [[0.3, 0.0, 0.7]]
    >>> aligned(np.array([0.75]), ["no", "yes"], ["yes", "no"]).tolist()
    [0.25]
    """
    if predicted.ndim == 1:
        if set(known) != set(wanted):
            raise KeyError(*sorted(map(str, set(wanted) - set(known))))
        return predicted if known[-1] == wanted[-1] else 1.0 - predicted
    places = {value: place for place, value in enumerate(known)}
    zero = np.zeros(len(predicted))
    return np.column_stack([predicted[:, places[value]] if value in places else zero for value in wanted])
