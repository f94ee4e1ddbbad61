"""A loss for every row that stands for a metric, and what it was expected to be: what sequential alarms bet on.

Log loss, Brier score, accuracy, mean absolute error and pinball loss are means of such losses, clipped where a single
row could outweigh all others. The area under the ROC curve is the share of pairs, a positive and a negative row, that
stand in the right order, so that its losses are pairs. Metrics that are no mean at all are represented by one that is:
it tells that something changed for the worse, in its own unit.

Some rows are harder than others, and there are days of hard rows. A model that says so is not to blame; so every loss
comes with what rows that were predicted alike used to cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from everfit.measures.isotonic import isotonic
from everfit.measures.weighing import Floats
from everfit.monitoring.performance import Scale

_LEAST_CHANCE = 0.02
"""Log loss is clipped at ``-log`` of this."""
_FARTHEST = 3.0
"""Errors are clipped at this many times the 95 % quantile of the reference's."""

Kind = Literal["log_loss", "brier", "error", "pairs", "deviation"]
_KINDS: Mapping[str, Kind] = {
    "log_loss": "log_loss",
    "brier": "brier",
    "calibration_error": "brier",
    "roc_auc": "pairs",
    "average_precision": "pairs",
    "accuracy": "error",
    "macro_f1": "error",
    "macro_auc": "log_loss",
    "rmse": "deviation",
    "r2": "deviation",
    "bias": "deviation",
    "mae": "deviation",
    "pinball_10": "deviation",
    "pinball_90": "deviation",
}
_EXACT = frozenset({"log_loss", "brier", "accuracy", "roc_auc", "mae"})


@dataclass(frozen=True)
class Losses:
    """Losses and the rows they came from."""

    values: Floats
    """Shape ``(steps,)``, from 0 to the loss's ``reach``."""
    expected: Floats
    """What each was expected to be, given what was predicted: how hard the row is. Shape ``(steps,)``."""
    rows: NDArray[np.intp]
    """The last row that each was made of, ascending."""


@dataclass(frozen=True)
class RowLoss:
    """The loss that stands for a metric, as it was on a reference.

    Args:
        kind: Which one.
        reach: The most that it can be, in the unit of ``name``.
        name: What it measures: the metric itself where it is a mean of losses, else its representative.
        expect: From predictions to the loss that they had on the reference.
    """

    kind: Kind
    reach: float
    name: str
    expect: Callable[[Floats], Floats]

    def of(self, truth: Floats, predicted: Floats) -> Losses:
        """Losses of labelled rows, in their order.

        Args:
            truth: Shape ``(rows,)``; see :class:`everfit.measures.metric.Metric`.
            predicted: Shape ``(rows,)`` or ``(rows, classes)``.
        """
        if self.kind == "pairs":
            return _pairs(truth, predicted)
        values = np.minimum(_MEANS[self.kind](truth, predicted), self.reach)
        return Losses(values, np.clip(self.expect(predicted), 0.0, self.reach), np.arange(len(truth)))


def loss_for(scale: Scale, truth: Floats, predicted: Floats) -> RowLoss:
    """The loss that stands for a model's metric.

    Args:
        scale: The model's.
        truth: Of the reference's held-out rows, shape ``(rows,)``.
        predicted: Theirs.
    """
    kind = _KINDS[scale.metric]
    name = scale.metric if scale.metric in _EXACT else {"pairs": "roc_auc", "deviation": "mae"}.get(kind, kind)
    reach = 1.0
    if kind == "log_loss":
        reach = -math.log(_LEAST_CHANCE)
    if kind == "deviation":
        far = float(np.quantile(np.abs(truth - predicted), 0.95)) if len(truth) else 0.0
        reach = _FARTHEST * far if far > 0 else 1.0
    named = "accuracy" if name == "error" else name
    if kind == "pairs":
        return RowLoss(kind, reach, named, np.zeros_like)
    if predicted.ndim == 1 and kind != "deviation":
        return RowLoss(kind, reach, named, _expect_binary(kind, truth, predicted))
    if kind == "deviation":
        return RowLoss(kind, reach, named, _expect_binned(np.minimum(_deviation(truth, predicted), reach), predicted))
    return RowLoss(kind, reach, named, partial(_expect_classes, kind))


def _expect_binary(kind: Kind, truth: Floats, predicted: Floats) -> Callable[[Floats], Floats]:
    """By the chance that the predicted one turned out to be."""
    calibrated, loss = isotonic(predicted, truth), _MEANS[kind]

    def expect(asked: Floats) -> Floats:
        chance = calibrated.of(asked)
        expected: Floats = chance * loss(np.ones_like(asked), asked) + (1 - chance) * loss(np.zeros_like(asked), asked)
        return expected

    return expect


def _expect_classes(kind: Kind, predicted: Floats) -> Floats:
    """By the chances as they were predicted."""
    rows, classes = predicted.shape
    each = [_MEANS[kind](np.full(rows, float(place)), predicted) for place in range(classes)]
    expected: Floats = (predicted * np.array(each).T).sum(axis=1)
    return expected


def _expect_binned(losses: Floats, predicted: Floats) -> Callable[[Floats], Floats]:
    """By the mean among the rows that were predicted alike, a tenth of them at a time."""
    edges = np.unique(np.quantile(predicted, np.linspace(0.1, 0.9, 9))) if len(predicted) else np.empty(0)
    place = np.searchsorted(edges, predicted)
    rows = np.bincount(place, minlength=len(edges) + 1)
    means = np.bincount(place, weights=losses, minlength=len(edges) + 1) / np.maximum(rows, 1)
    return lambda asked: means[np.searchsorted(edges, asked)]


def _log_loss(truth: Floats, predicted: Floats) -> Floats:
    if predicted.ndim == 1:
        chance = np.where(truth > 0.5, predicted, 1.0 - predicted)
    else:
        chance = predicted[np.arange(len(truth)), truth.astype(np.intp)]
    losses: Floats = -np.log(np.clip(chance, _LEAST_CHANCE, 1.0))
    return losses


def _error(truth: Floats, predicted: Floats) -> Floats:
    said = (predicted > 0.5) if predicted.ndim == 1 else predicted.argmax(axis=1)
    wrong: Floats = (said != truth).astype(np.float64)
    return wrong


def _brier(truth: Floats, predicted: Floats) -> Floats:
    squares: Floats = (predicted - truth) ** 2
    return squares


def _deviation(truth: Floats, predicted: Floats) -> Floats:
    distance: Floats = np.abs(predicted - truth)
    return distance


_MEANS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "log_loss": _log_loss,
    "brier": _brier,
    "error": _error,
    "deviation": _deviation,
}


def _pairs(truth: Floats, predicted: Floats) -> Losses:
    """Each positive row with the negative one of the same number: independent pairs, 1 where they stand wrong."""
    positive, negative = np.flatnonzero(truth > 0.5), np.flatnonzero(truth <= 0.5)
    count = min(len(positive), len(negative))
    above, below = predicted[positive[:count]], predicted[negative[:count]]
    values = np.where(above < below, 1.0, np.where(above == below, 0.5, 0.0))
    return Losses(values, np.zeros(count), np.maximum(positive[:count], negative[:count]))
