"""Expected performance of unlabelled rows, from labelled rows with similar predictions.

A classifier says how likely it holds each class, so that it is enough to know how often it was right when it said so.
A regression says nothing of its own error; a small model of the losses tells which rows are hard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from everfit.measures.calibration import isotonic
from everfit.measures.quality import expected_metric
from everfit.measures.regression_metrics import error_columns
from everfit.measures.weighting import Floats, mean_of, weigh
from everfit.monitoring.feature_matrix import FeatureMatrix
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import predictions_of

_LOSSES = {"mae": "absolute", "rmse": "error", "pinball_10": "pinball_10", "pinball_90": "pinball_90", "bias": "error"}
"""Column of :func:`~everfit.measures.regression_metrics.error_columns` that a metric averages; ``rmse``, its square."""
_ROUNDS, _LEAVES, _LEAST_IN_LEAF = 50, 8, 50

Expectation = Callable[[pl.DataFrame], Floats]
"""From rows to the expectation of each, in the form that its method needs; one entry per row."""


class ConfidenceEstimation:
    """Confidence-based estimation: a classifier's chances by isotonic calibration, class by class."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale

    def learn(self, labelled: pl.DataFrame) -> Expectation:
        """Learn to expect the chance of each class, shaped as the predictions are."""
        truth, said = self._scale.read(labelled)
        if said.ndim == 1:
            known = truth >= 0
            curve = isotonic(said[known], truth[known])
            return lambda rows: curve.of(predictions_of(rows, self._scale.columns))
        curves = [isotonic(said[:, place], (truth == place).astype(np.float64)) for place in range(said.shape[1])]

        def expect(rows: pl.DataFrame) -> Floats:
            asked = predictions_of(rows, self._scale.columns)
            chances = np.column_stack([curve.of(asked[:, place]) for place, curve in enumerate(curves)])
            whole = chances.sum(axis=1, keepdims=True)
            # Where no class is held for possible, the model's own word is all there is.
            found: Floats = np.divide(chances, whole, out=asked.copy(), where=whole > 0)
            return found

        return expect

    def metric(self, expected: Floats, rows: pl.DataFrame, weight: Floats | None) -> float:
        """Return the metric of rows with such expectations; NaN where it is undefined."""
        return expected_metric(self._scale.measure, expected, predictions_of(rows, self._scale.columns), weight)


class DirectLossEstimation:
    """Direct loss estimation: a regression's losses by a small model on its features and predictions.

    Source: the direct loss estimation of NannyML (Perrakis et al., documentation of release 0.6), with the loss itself
    as the label. The metric must be a mean of losses.
    """

    def __init__(self, scale: Scale, features: Sequence[str]) -> None:
        self._scale = scale
        self._columns = (*features, *scale.columns)

    def learn(self, labelled: pl.DataFrame) -> Expectation:
        """Learn to expect the loss of each row, shape ``(rows,)``."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        matrix = FeatureMatrix(labelled, self._columns)
        model = HistGradientBoostingRegressor(
            max_iter=_ROUNDS,
            max_leaf_nodes=_LEAVES,
            min_samples_leaf=_LEAST_IN_LEAF,
            categorical_features=list(matrix.categorical),
            early_stopping=False,
        )
        losses = error_columns(*self._scale.read(labelled))[_LOSSES[self._scale.metric]]
        if self._scale.metric == "rmse":
            losses = losses**2
        model.fit(matrix.of(labelled), losses)
        least, most = float(losses.min()), float(losses.max())

        def expect(rows: pl.DataFrame) -> Floats:
            found = model.predict(matrix.of(rows)) if rows.height else np.empty(0)
            # A sum of trees may leave the range of what was seen; a loss below zero is none.
            clipped: Floats = np.clip(found, least, most)
            return clipped

        return expect

    def metric(self, expected: Floats, rows: pl.DataFrame, weight: Floats | None) -> float:  # noqa: ARG002
        """Return the metric of rows with such expectations; NaN where it is undefined."""
        mean = weigh(mean_of(expected), weight, len(expected))
        return math.sqrt(mean) if self._scale.metric == "rmse" else mean


PerformanceEstimation = ConfidenceEstimation | DirectLossEstimation
"""Method of estimating a metric without labels."""


def estimation_for(scale: Scale, features: Sequence[str]) -> PerformanceEstimation | None:
    """Return the method for a model's metric; ``None`` where that is no mean of losses (``r2``)."""
    if scale.task != "regression":
        return ConfidenceEstimation(scale)
    return DirectLossEstimation(scale, features) if scale.metric in _LOSSES else None
