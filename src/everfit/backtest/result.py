"""Result of a backtest: metrics of every policy's predictions, overall and by month, with what the policy did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.backtest.course import Course, Walked
from everfit.backtest.past import Past
from everfit.core.class_names import ClassValue
from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import Task
from everfit.definitions.model import Model
from everfit.measures.class_metrics import aligned
from everfit.measures.quality import Metric, metric_for
from everfit.measures.row_loss import LOSS_KINDS, MEAN_LOSSES
from everfit.monitoring.prediction_frame import truth_codes

_RESAMPLES = 2_000
_BLOCK_DAYS = 7
"""Days that are drawn together: a week holds every weekday, and what depends on each other within it."""
_LEAST_DAYS = 4 * _BLOCK_DAYS


class Month(Struct, frozen=True, kw_only=True):
    """A policy's metric in one calendar month."""

    month: str
    """Such as ``2013-03``."""
    rows: int
    """Events with a label."""
    value: float


class LossDifference(Struct, frozen=True, kw_only=True):
    """Difference between the mean losses of two policies on the same events: positive means that this one is worse."""

    against: str
    """The other policy."""
    loss: str
    value: float
    low: float | None
    """Lower end of the 95 % interval, by weeks that are drawn together; ``None`` with too few days."""
    high: float | None


class PolicyResult(Struct, frozen=True, kw_only=True):
    """A policy's course and its metrics."""

    policy: str
    metric: float
    rows: int
    """Events with a label."""
    months: tuple[Month, ...]
    worst_month: Month | None
    difference: LossDifference | None
    """To the first policy that was named; ``None`` for that one itself."""
    course: Course


class BacktestReport(Struct, frozen=True, kw_only=True):
    """Result of a backtest."""

    model: str
    task: Task
    metric: str
    greater_is_better: bool
    start: datetime
    end: datetime
    step: str
    events: int
    """Events from ``start`` to ``end``."""
    first_version: str
    """Sentence on the version that all policies begin with."""
    policies: tuple[PolicyResult, ...]
    """In the order in which they were named."""
    summary: tuple[str, ...]
    """Sentences that compare them."""
    seconds: float
    """Of this machine's clock."""


def results_of(model: Model, past: Past, first: int, last: int, walks: Sequence[Walked]) -> tuple[PolicyResult, ...]:
    """Return the results of all policies on the events with places ``[first, last)``, by their final labels."""
    classes = tuple(dict.fromkeys(value for walked in walks for value in walked.classes))
    rows = past.rows[first:last]
    truth = truth_codes(rows[LABEL], model.task, classes)
    labelled = truth.is_not_null().to_numpy()
    known, times = truth.drop_nulls().to_numpy(), rows[TIME].filter(pl.Series(labelled))
    metric, results = metric_for(model.metric, model.task), list[PolicyResult]()
    base: Walked | None = None
    for walked in walks:
        predicted = _predictions(walked, classes, model.task)[labelled]
        months = tuple(_months(metric, times, known, predicted))
        difference = None
        if base is None:
            base = walked
        else:
            theirs = _predictions(base, classes, model.task)[labelled]
            difference = _difference(model, base.course.policy, times, known, predicted, theirs)
        results.append(
            PolicyResult(
                policy=walked.course.policy,
                metric=metric.compute(known, predicted),
                rows=len(known),
                months=months,
                worst_month=max(months, key=lambda month: metric.loss(month.value), default=None),
                difference=difference,
                course=walked.course,
            )
        )
    return tuple(results)


def _predictions(walked: Walked, classes: tuple[ClassValue, ...], task: Task) -> NDArray[np.float64]:
    return walked.predictions if task == "regression" else aligned(walked.predictions, walked.classes, classes)


def _months(
    metric: Metric, times: pl.Series, truth: NDArray[np.float64], predicted: NDArray[np.float64]
) -> list[Month]:
    months = times.dt.strftime("%Y-%m").to_numpy()
    found = []
    for month in np.unique(months):
        own = months == month
        value = metric.compute(truth[own], predicted[own])
        found.append(Month(month=str(month), rows=int(own.sum()), value=value))
    return found


def _difference(
    model: Model,
    against: str,
    times: pl.Series,
    truth: NDArray[np.float64],
    own: NDArray[np.float64],
    theirs: NDArray[np.float64],
) -> LossDifference | None:
    """Compare two policies row by row; ``None`` where the metric is no mean over rows."""
    kind = LOSS_KINDS[model.metric]
    if kind not in MEAN_LOSSES or not len(truth):
        return None
    losses = MEAN_LOSSES[kind]
    differences = losses(truth, own) - losses(truth, theirs)
    low, high = interval_by_weeks(differences, times.dt.epoch("d").to_numpy())
    return LossDifference(against=against, loss=kind, value=float(differences.mean()), low=low, high=high)


def interval_by_weeks(differences: NDArray[np.float64], days: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a mean by the circular block bootstrap (Politis, Romano 1992), a week a block."""
    places = days - days[0]
    sums = np.bincount(places, weights=differences)
    counts = np.bincount(places).astype(np.float64)
    length = len(sums)
    if length < _LEAST_DAYS:
        return None, None
    around = np.arange(length)[:, None] + np.arange(_BLOCK_DAYS)
    block_sums, block_counts = sums[around % length].sum(axis=1), counts[around % length].sum(axis=1)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, length, size=(_RESAMPLES, -(-length // _BLOCK_DAYS)))
    totals = block_counts[drawn].sum(axis=1)
    means = block_sums[drawn].sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def summary_of(results: Sequence[PolicyResult], metric: Metric) -> tuple[str, ...]:
    """Return sentences that compare the first policy with the best schedule, and with the first version."""
    first, sentences = results[0], list[str]()
    schedules = [result for result in results[1:] if result.policy.startswith("refit ")]
    if schedules:
        best = min(schedules, key=lambda result: metric.loss(result.metric))
        sentences.append(_compared(first, best, metric, f"the best schedule in hindsight, {best.policy},"))
    never = next((result for result in results[1:] if result.policy == "never"), None)
    if never is not None:
        sentences.append(_compared(first, never, metric, "the first version without any retraining"))
    return tuple(sentences)


def _compared(first: PolicyResult, other: PolicyResult, metric: Metric, words: str) -> str:
    worse = metric.worse_by(first.metric, other.metric)
    trainings = f"{first.course.trainings} trainings"
    share = f" ({abs(worse) / abs(other.metric):.1%})" if other.metric else ""
    side = "worse" if worse > 0 else "better"
    amount = f"{side} by {abs(worse):.4f}{share} than" if worse else "equal to"
    return (
        f"The policy {first.policy} has {metric.name} {first.metric:.4f} with {trainings}, {amount} {words} with "
        f"{other.metric:.4f} and {other.course.trainings} trainings."
    )
