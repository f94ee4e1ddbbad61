"""The metrics by task and name, and their expected values before labels are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Task
from everfit.measures.calibration import calibration_error_on
from everfit.measures.class_metrics import accuracy_on, brier_on, log_loss_on, macro_auc_on, macro_f1_on
from everfit.measures.ranking import average_precision_on, roc_auc_on
from everfit.measures.regression_metrics import bias_on, mae_on, pinball_on, r2_on, rmse_on
from everfit.measures.weighting import Floats, Weighing, weigh


@dataclass(frozen=True)
class Metric:
    """A measure of predictions against the truth.

    ``truth`` is 0/1 (binary), the class's index (multiclass) or the value (regression), shape ``(rows,)``; -1 is a
    class that the model does not know, which is scored like the worst prediction;
    ``predicted`` the chance of the positive class or the value, shape ``(rows,)``, or the classes' chances, shape
    ``(rows, classes)``.
    """

    name: str
    tasks: tuple[Task, ...]
    prepare: Callable[[Floats, Floats], Weighing] = field(compare=False)
    """Computes what depends on the rows alone; see :mod:`everfit.measures.weighting`."""
    description: str
    """Its meaning and the source of the formula."""
    greater_is_better: bool = False
    in_label_unit: bool = False
    """True if it is measured in the label's own unit, so that its size means nothing by itself."""
    best_at_zero: bool = False
    """True if the distance from zero counts, the sign being only the direction."""

    def on(self, truth: Floats, predicted: Floats) -> Weighing:
        """Prepare the metric of fixed rows for many weightings; NaN throughout if a prediction is not finite."""
        if not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
            return lambda _: float("nan")
        return self.prepare(truth, predicted)

    def compute(self, truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
        """Return the metric on these rows, each counting ``weight`` times; NaN where it is undefined."""
        return weigh(self.on(truth, predicted), weight, len(truth)) if len(truth) else float("nan")

    def loss(self, value: float) -> float:
        """Return the value with its sign such that less is better."""
        if self.best_at_zero:
            return abs(value)
        return -value if self.greater_is_better else value

    def worse_by(self, new: float, old: float) -> float:
        """Return the change from ``old`` to ``new``: positive always means worse, in the metric's own unit."""
        return self.loss(new) - self.loss(old)


_BINARY: tuple[Task, ...] = ("binary",)
_MULTICLASS: tuple[Task, ...] = ("multiclass",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_REGRESSION: tuple[Task, ...] = ("regression",)
_gain = partial(Metric, greater_is_better=True)
_error = partial(Metric, in_label_unit=True)

_ALL = (
    Metric("log_loss", _CLASSES, log_loss_on, "mean of -log(chance given to what happened), nats; Good 1952"),
    _gain("roc_auc", _BINARY, roc_auc_on, "chance that a positive row scores above a negative one; Fawcett 2006"),
    _gain(
        "average_precision",
        _BINARY,
        average_precision_on,
        "precision averaged over the recall gained, step-wise; Davis, Goadrich 2006",
    ),
    Metric("brier", _BINARY, brier_on, "mean squared difference of chance and outcome; Brier 1950"),
    Metric(
        "calibration_error",
        _BINARY,
        calibration_error_on,
        "mean gap of stated chance and share come true, 10 quantile bins; Naeini et al. 2015",
    ),
    _gain(
        "macro_auc",
        _MULTICLASS,
        macro_auc_on,
        "ROC AUC of each class against the rest, plain mean; Provost, Domingos 2000",
    ),
    _gain("macro_f1", _MULTICLASS, macro_f1_on, "F1 of each class, plain mean; van Rijsbergen 1979"),
    _gain(
        "accuracy",
        _CLASSES,
        accuracy_on,
        "share of rows whose likeliest class is the true one (binary: chance above 0.5)",
    ),
    _error("mae", _REGRESSION, mae_on, "mean absolute error, in the label's unit"),
    _error("rmse", _REGRESSION, rmse_on, "root of the mean squared error, in the label's unit"),
    _error(
        "pinball_10",
        _REGRESSION,
        partial(pinball_on, quantile=0.1),
        "mean pinball loss at the quantile 0.1; Koenker, Bassett 1978",
    ),
    _error(
        "pinball_90",
        _REGRESSION,
        partial(pinball_on, quantile=0.9),
        "mean pinball loss at the quantile 0.9; Koenker, Bassett 1978",
    ),
    _error(
        "bias", _REGRESSION, bias_on, "mean of predicted - true, in the label's unit; zero is best", best_at_zero=True
    ),
    _gain("r2", _REGRESSION, r2_on, "share of the label's variance explained; coefficient of determination"),
)

METRICS: Mapping[tuple[Task, str], Metric] = MappingProxyType(
    {(task, metric.name): metric for metric in _ALL for task in metric.tasks}
)
"""By task and name, in the order of reports."""


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task, in the order of reports."""
    return tuple(metric for metric in _ALL if task in metric.tasks)


def metric_for(name: str, task: Task) -> Metric:
    """Return the metric of that name. Raises :class:`DefinitionError` if the task has no such metric."""
    metric = METRICS.get((task, name))
    if metric is None:
        known = ", ".join(one.name for one in metrics_of(task))
        raise DefinitionError(f"the metric of a {task} model must be one of {known}", value=name)
    return metric


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
