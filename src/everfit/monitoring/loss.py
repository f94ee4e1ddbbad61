"""A loss for every row, between 0 and 1, that stands for a metric: what sequential alarms bet on.

Log loss, Brier score, accuracy, mean absolute error and pinball loss are means of such losses, clipped where a single
row could outweigh all others. The area under the ROC curve is the share of pairs, a positive and a negative row, that
stand in the right order, so that its losses are pairs. Metrics that are no mean at all are represented by one that is:
it tells that something changed for the worse, in its own unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
    """Shape ``(steps,)``, in [0, 1]."""
    rows: NDArray[np.intp]
    """The last row that each was made of, ascending."""


@dataclass(frozen=True)
class RowLoss:
    """The loss that stands for a metric.

    Args:
        kind: Which one.
        unit: How much 1 is in the unit of ``name``.
        name: What it measures: the metric itself where it is a mean of losses, else its representative.
    """

    kind: Kind
    unit: float
    name: str

    def of(self, truth: Floats, predicted: Floats) -> Losses:
        """Losses of labelled rows, in their order.

        Args:
            truth: Shape ``(rows,)``; see :class:`everfit.measures.metric.Metric`.
            predicted: Shape ``(rows,)`` or ``(rows, classes)``.
        """
        if self.kind == "pairs":
            return _pairs(truth, predicted)
        values = _MEANS[self.kind](truth, predicted) / self.unit
        return Losses(np.clip(values, 0.0, 1.0), np.arange(len(truth)))


def loss_for(scale: Scale, truth: Floats, predicted: Floats) -> RowLoss:
    """The loss that stands for a model's metric.

    Args:
        scale: The model's.
        truth: Of the reference's held-out rows, shape ``(rows,)``: how far errors of a regression are let count.
        predicted: Theirs.
    """
    kind = _KINDS[scale.metric]
    name = scale.metric if scale.metric in _EXACT else {"pairs": "roc_auc", "deviation": "mae"}.get(kind, kind)
    unit = 1.0
    if kind == "log_loss":
        unit = -math.log(_LEAST_CHANCE)
    if kind == "deviation":
        far = float(np.quantile(np.abs(truth - predicted), 0.95)) if len(truth) else 0.0
        unit = _FARTHEST * far if far > 0 else 1.0
    return RowLoss(kind, unit, "accuracy" if name == "error" else name)


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
    return Losses(values, np.maximum(positive[:count], negative[:count]))
