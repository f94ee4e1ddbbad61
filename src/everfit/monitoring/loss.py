"""Row losses that stand for a metric, with their expectation: the input of sequential alarms.

They are those of :mod:`everfit.measures.row_loss`, clipped where a single row could outweigh all others. Some rows are
harder than others, and there are days of hard rows: every loss comes with what rows that were predicted alike used to
cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from everfit.measures.calibration import isotonic
from everfit.measures.row_loss import (
    LEAST_CHANCE,
    LOSS_KINDS,
    MEAN_LOSSES,
    LossKind,
    PairsWaiting,
    go_on_pairing,
    row_losses,
)
from everfit.measures.weighting import Floats
from everfit.monitoring.performance import Scale

_FARTHEST = 3.0
"""Errors are clipped at this many times the 95 % quantile of the reference's."""
_EXACT = frozenset({"log_loss", "brier", "accuracy", "roc_auc", "mae"})
_NAMES: Mapping[LossKind, str] = {"pairs": "roc_auc", "deviation": "mae", "error": "accuracy"}


@dataclass(frozen=True)
class Losses:
    """Losses and the rows they came from."""

    values: Floats
    """Shape ``(steps,)``, from 0 to the loss's ``reach``."""
    expected: Floats
    """Expected loss given the prediction: how hard the row is. Shape ``(steps,)``."""
    rows: NDArray[np.intp]
    """The last row that each was made of, ascending."""


@dataclass(frozen=True)
class RowLoss:
    """Loss that stands for a metric, as it was on a reference."""

    kind: LossKind
    reach: float
    """The most that it can be, in the unit of ``name``."""
    name: str
    """Of what it measures: the metric itself where it is a mean of losses, else its representative."""
    expect: Callable[[Floats], Floats]
    """From predictions to the loss that they had on the reference."""

    def of(self, truth: Floats, predicted: Floats) -> Losses:
        """Return the losses of labelled rows, in their order; arguments as for :func:`row_losses`."""
        return self.go_on(PairsWaiting(), truth, predicted)[1]

    def go_on(self, waiting: PairsWaiting, truth: Floats, predicted: Floats) -> tuple[PairsWaiting, Losses]:
        """Return the losses of further rows, where pairs are formed with those that wait, and what waits then."""
        if self.kind == "pairs":
            waiting, found = go_on_pairing(waiting, truth, predicted)
            return waiting, Losses(found.values, np.zeros(len(found.values)), found.rows)
        values, rows = row_losses(self.kind, truth, predicted)
        expected = np.clip(self.expect(predicted), 0.0, self.reach)
        return waiting, Losses(np.minimum(values, self.reach), expected, rows)


def loss_for(scale: Scale, truth: Floats, predicted: Floats) -> RowLoss:
    """Return the loss that stands for a model's metric, by the truth and predictions of the reference's hold-out."""
    kind = LOSS_KINDS[scale.metric]
    name = scale.metric if scale.metric in _EXACT else _NAMES.get(kind, kind)
    if kind == "pairs":
        return RowLoss(kind, 1.0, name, np.zeros_like)
    if kind == "deviation":
        far = float(np.quantile(np.abs(truth - predicted), 0.95)) if len(truth) else 0.0
        reach = _FARTHEST * far if far > 0 else 1.0
        losses = np.minimum(MEAN_LOSSES["deviation"](truth, predicted), reach)
        return RowLoss(kind, reach, name, _expect_binned(losses, predicted))
    reach = -math.log(LEAST_CHANCE) if kind == "log_loss" else 1.0
    expect = _expect_binary(kind, truth, predicted) if predicted.ndim == 1 else partial(_expect_classes, kind)
    return RowLoss(kind, reach, name, expect)


def _expect_binary(kind: LossKind, truth: Floats, predicted: Floats) -> Callable[[Floats], Floats]:
    """Return the expected loss by calibrated chances."""
    known = truth >= 0
    calibrated, loss = isotonic(predicted[known], truth[known]), MEAN_LOSSES[kind]

    def expect(asked: Floats) -> Floats:
        chance = calibrated.of(asked)
        expected: Floats = chance * loss(np.ones_like(asked), asked) + (1 - chance) * loss(np.zeros_like(asked), asked)
        return expected

    return expect


def _expect_classes(kind: LossKind, predicted: Floats) -> Floats:
    """Return the expected loss by the chances as predicted."""
    rows, classes = predicted.shape
    losses = [MEAN_LOSSES[kind](np.full(rows, float(place)), predicted) for place in range(classes)]
    expected: Floats = (predicted * np.array(losses).T).sum(axis=1)
    return expected


def _expect_binned(losses: Floats, predicted: Floats) -> Callable[[Floats], Floats]:
    """Return the expected loss by the mean in each tenth of the predictions."""
    edges = np.unique(np.quantile(predicted, np.linspace(0.1, 0.9, 9))) if len(predicted) else np.empty(0)
    place = np.searchsorted(edges, predicted)
    rows = np.bincount(place, minlength=len(edges) + 1)
    means = np.bincount(place, weights=losses, minlength=len(edges) + 1) / np.maximum(rows, 1)
    return lambda asked: means[np.searchsorted(edges, asked)]
