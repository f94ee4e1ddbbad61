"""Loss of every row that represents a metric.

Log loss, Brier score, accuracy, mean absolute error and pinball loss are means of such losses. The area under the ROC
curve is the share of pairs, a positive and a negative row, that stand in the right order, so that its losses are pairs.
Metrics that are no mean are represented by one that is: it shows a change for the worse, in its own unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everfit.measures.class_metrics import chance_of_truth, likeliest
from everfit.measures.weighting import Floats

LEAST_CHANCE = 0.02
"""Log loss is clipped at ``-log`` of this, so that no single row outweighs all others."""

LossKind = Literal["log_loss", "brier", "error", "pairs", "deviation"]
LOSS_KINDS: Mapping[str, LossKind] = {
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
"""The loss that represents each metric."""

LOSS_WORDS: Mapping[LossKind, str] = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "error": "error rate",
    "pairs": "share of pairs in the wrong order",
    "deviation": "absolute error",
}
"""Name of each loss in a sentence; less is better."""


class RowLosses(NamedTuple):
    """Losses and the rows they came from."""

    values: Floats
    """Shape ``(steps,)``."""
    rows: NDArray[np.intp]
    """The last row that each was made of, ascending; shape ``(steps,)``."""


def row_losses(kind: LossKind, truth: Floats, predicted: Floats) -> RowLosses:
    """Losses of labelled rows, in their order; for the arguments see :class:`everfit.measures.quality.Metric`.

    A class without a column, -1, has the largest loss.

    >>> row_losses("pairs", np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.6, 0.2, 0.4, 0.9])).values.tolist()
    [0.0, 1.0]
    """
    if kind == "pairs":
        return go_on_pairing(PairsWaiting(), truth, predicted)[1]
    return RowLosses(MEAN_LOSSES[kind](truth, predicted), np.arange(len(truth)))


MEAN_LOSSES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "log_loss": lambda truth, predicted: -np.log(np.clip(chance_of_truth(truth, predicted), LEAST_CHANCE, 1.0)),
    "brier": lambda truth, predicted: (1.0 - chance_of_truth(truth, predicted)) ** 2,
    "error": lambda truth, predicted: (likeliest(predicted) != truth).astype(np.float64),
    "deviation": lambda truth, predicted: np.abs(predicted - truth),
}
"""Those that are of single rows, by kind: from truth and predictions to losses."""


@dataclass(frozen=True, kw_only=True)
class PairsWaiting:
    """Scores of rows that still wait for one of the other class, oldest first; one of the two is empty."""

    positive: Floats = field(default_factory=lambda: np.empty(0))
    negative: Floats = field(default_factory=lambda: np.empty(0))


def go_on_pairing(waiting: PairsWaiting, truth: Floats, predicted: Floats) -> tuple[PairsWaiting, RowLosses]:
    """Pair each positive row with the negative one of the same number, and return what waits and what the pairs lose.

    The pairs are independent; the loss is 1 where they stand in the wrong order. Their row is that which completed
    them, among the rows given.

    >>> waiting, first = go_on_pairing(PairsWaiting(), np.array([1.0, 1.0, 0.0]), np.array([0.6, 0.4, 0.2]))
    >>> waiting, second = go_on_pairing(waiting, np.array([0.0]), np.array([0.9]))
    >>> first.values.tolist(), first.rows.tolist(), second.values.tolist(), second.rows.tolist()
    ([0.0], [2], [1.0], [0])
    """
    # A row of a third class counts as a negative one that scores above every other; see measures.ranking.
    score = np.where(truth < 0, np.inf, predicted)
    above, above_row = _queue(waiting.positive, score, np.flatnonzero(truth > 0.5))
    below, below_row = _queue(waiting.negative, score, np.flatnonzero(truth <= 0.5))
    count = min(len(above), len(below))
    values = np.where(above[:count] < below[:count], 1.0, np.where(above[:count] == below[:count], 0.5, 0.0))
    left = PairsWaiting(positive=above[count:], negative=below[count:])
    return left, RowLosses(values, np.maximum(above_row[:count], below_row[:count]))


def _queue(waiting: Floats, score: Floats, rows: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    """Return the scores that wait with new ones behind them, and their rows; -1 for those from before."""
    return np.append(waiting, score[rows]), np.append(np.full(len(waiting), -1, dtype=np.intp), rows)
