"""The metrics by task and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Task
from everfit.measures.calibration import calibration_error_on
from everfit.measures.metric import Metric
from everfit.measures.multiclass_metrics import accuracy_on, macro_auc_on, macro_f1_on
from everfit.measures.ranking import average_precision_on, roc_auc_on
from everfit.measures.regression_metrics import bias_on, mae_on, pinball_on, r2_on, rmse_on
from everfit.measures.scoring_rules import brier_on, log_loss_on
from everfit.measures.weighting import Floats, Weighing


def _in_label_unit(
    name: str, prepare: Callable[[Floats, Floats], Weighing], description: str, *, best_at_zero: bool = False
) -> Metric:
    """Make a metric of regressions that is measured in the label's own unit."""
    return Metric(
        name=name,
        greater_is_better=False,
        tasks=("regression",),
        in_label_unit=True,
        best_at_zero=best_at_zero,
        prepare=prepare,
        description=description,
    )


_ALL = (
    Metric(
        name="log_loss",
        greater_is_better=False,
        tasks=("binary", "multiclass"),
        prepare=log_loss_on,
        description="mean of -log(chance given to what happened), nats; Good 1952",
    ),
    Metric(
        name="roc_auc",
        greater_is_better=True,
        tasks=("binary",),
        prepare=roc_auc_on,
        description="chance that a positive row scores above a negative one; Fawcett 2006",
    ),
    Metric(
        name="average_precision",
        greater_is_better=True,
        tasks=("binary",),
        prepare=average_precision_on,
        description="precision averaged over the recall gained, step-wise; Davis, Goadrich 2006",
    ),
    Metric(
        name="brier",
        greater_is_better=False,
        tasks=("binary",),
        prepare=brier_on,
        description="mean squared difference of chance and outcome; Brier 1950",
    ),
    Metric(
        name="calibration_error",
        greater_is_better=False,
        tasks=("binary",),
        prepare=calibration_error_on,
        description="mean gap of stated chance and share come true, 10 quantile bins; Naeini et al. 2015",
    ),
    Metric(
        name="macro_auc",
        greater_is_better=True,
        tasks=("multiclass",),
        prepare=macro_auc_on,
        description="ROC AUC of each class against the rest, plain mean; Provost, Domingos 2000",
    ),
    Metric(
        name="macro_f1",
        greater_is_better=True,
        tasks=("multiclass",),
        prepare=macro_f1_on,
        description="F1 of each class, plain mean; van Rijsbergen 1979",
    ),
    Metric(
        name="accuracy",
        greater_is_better=True,
        tasks=("binary", "multiclass"),
        prepare=accuracy_on,
        description="share of rows whose likeliest class is the true one (binary: chance above 0.5)",
    ),
    _in_label_unit("mae", mae_on, "mean absolute error, in the label's unit"),
    _in_label_unit("rmse", rmse_on, "root of the mean squared error, in the label's unit"),
    _in_label_unit(
        "pinball_10",
        partial(pinball_on, quantile=0.1),
        "mean pinball loss at the quantile 0.1; Koenker, Bassett 1978",
    ),
    _in_label_unit(
        "pinball_90",
        partial(pinball_on, quantile=0.9),
        "mean pinball loss at the quantile 0.9; Koenker, Bassett 1978",
    ),
    _in_label_unit("bias", bias_on, "mean of predicted - true, in the label's unit; zero is best", best_at_zero=True),
    Metric(
        name="r2",
        greater_is_better=True,
        tasks=("regression",),
        prepare=r2_on,
        description="share of the label's variance explained; coefficient of determination",
    ),
)

METRICS: Mapping[tuple[Task, str], Metric] = MappingProxyType(
    {(task, metric.name): metric for metric in _ALL for task in metric.tasks}
)
"""By task and name, in the order of reports."""


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task, in the order of reports.

    >>> [metric.name for metric in metrics_of("multiclass")]
    ['log_loss', 'macro_auc', 'macro_f1', 'accuracy']
    """
    return tuple(metric for metric in _ALL if task in metric.tasks)


def metric_for(name: str, task: Task) -> Metric:
    """Return the metric of that name.

    Raises:
        DefinitionError: If the task has no such metric.

    >>> metric_for("roc_auc", "binary").greater_is_better
    True
    """
    metric = METRICS.get((task, name))
    if metric is None:
        known = ", ".join(one.name for one in metrics_of(task))
        raise DefinitionError(f"the metric of a {task} model must be one of {known}", value=name)
    return metric
