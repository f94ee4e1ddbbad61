"""Expected value of a metric before labels are known, from calibrated class probabilities."""

from __future__ import annotations

import numpy as np

from everfit.measures.quality import Metric
from everfit.measures.weighting import Floats


def expected_metric(metric: Metric, chances: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """Return the metric of predictions with each class of each row weighted by its probability.

    Every row occurs once per class, weighted by the probability of that class: the expected confusion at every
    threshold. For means of losses (log loss, Brier score, accuracy) it is the expectation itself; for ratios such as
    the area under the curve, the ratio of expectations, which differs by less than one part in the number of rows. It
    is as accurate as the probabilities are calibrated.

    Sources: Kivimäki, Białek, Nurminen, Kuberski 2024, "Confidence-based estimators for predictive performance in model
    monitoring" (arXiv 2407.08649) for accuracy, and Kivimäki, Białek, Kuberski, Nurminen 2025, "Performance estimation
    in binary classification using calibrated confidence" (2505.05295) for what follows from the expected confusion.

    Args:
        metric: Of a binary or multiclass model.
        chances: Calibrated probabilities, shape ``(rows,)`` for class 1, or ``(rows, classes)``.
        predicted: The model's predictions, of the same shape.
        weight: The rows' weights, shape ``(rows,)``.

    >>> from everfit.measures.quality import metric_for
    >>> predicted, calibrated = np.array([0.9, 0.2]), np.array([0.7, 0.4])
    >>> round(expected_metric(metric_for("accuracy", "binary"), calibrated, predicted), 9)
    0.65
    """
    shares = np.column_stack([1.0 - chances, chances]) if chances.ndim == 1 else chances
    rows, classes = shares.shape
    if weight is not None:
        shares = shares * weight[:, None]
    truth = np.repeat(np.arange(classes, dtype=np.float64), rows)
    return metric.compute(truth, np.concatenate([predicted] * classes), shares.T.reshape(-1))
