"""Scores of a candidate on the hold-out, overall and by slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.records import Score, SliceScore
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.measures.interval import bootstrap_intervals
from everfit.measures.quality import Metric, metric_for, metrics_of
from everfit.measures.weighting import Floats

MIN_SLICE_ROWS = 50
MOST_SLICES = 20


def score(
    model: Model, truth: Floats, predicted: Floats, weight: Floats, settings: TrainingSettings
) -> tuple[Score, ...]:
    """Return every metric of the task with its bootstrap interval, weighted, the model's own metric first."""
    own = metric_for(model.metric, model.task)
    metrics = [own, *(metric for metric in metrics_of(model.task) if metric.name != own.name)]
    return _scores(metrics, truth, predicted, weight, settings)


def score_slices(
    model: Model, rows: pl.DataFrame, truth: Floats, predicted: Floats, weight: Floats, settings: TrainingSettings
) -> tuple[SliceScore, ...]:
    """Return the model's own metric on each slice of at least 50 rows; numbers are sliced by their quartiles."""
    metrics, found = [metric_for(model.metric, model.task)], []
    for column in model.slices:
        for value, inside in _slices(rows[column]):
            (part,) = _scores(metrics, truth[inside], predicted[inside], weight[inside], settings)
            found.append(SliceScore(column=column, value=value, score=part))
    return tuple(found)


def _scores(
    metrics: Sequence[Metric], truth: Floats, predicted: Floats, weight: Floats, settings: TrainingSettings
) -> tuple[Score, ...]:
    intervals = bootstrap_intervals(
        metrics, truth, predicted, resamples=settings.bootstrap, seed=settings.seed, weight=weight
    )
    return tuple(
        Score(
            metric=metric.name,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            greater_is_better=metric.greater_is_better,
            rows=len(truth),
        )
        for metric, interval in zip(metrics, intervals, strict=True)
    )


def _slices(column: pl.Series) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if column.dtype.is_numeric() and column.n_unique() > MOST_SLICES:
        named = _quartiles(column.cast(pl.Float64).fill_nan(None))
    else:
        named = column.cast(pl.String)
    counts = named.value_counts(sort=True).drop_nulls().filter(pl.col("count") >= MIN_SLICE_ROWS).head(MOST_SLICES)
    for value in counts[named.name].sort().to_list():
        yield value, (named == value).fill_null(value=False).to_numpy()


def _quartiles(numbers: pl.Series) -> pl.Series:
    """Return the name of the quartile of each number; null for null."""
    edges = np.unique(np.quantile(numbers.drop_nulls().to_numpy(), [0.25, 0.5, 0.75]))
    shown = ["-inf", *(f"{edge:.4g}" for edge in edges), "inf"]
    names = np.array([f"({low}, {high}]" for low, high in pairwise(shown)])
    quarter = np.searchsorted(edges, numbers.fill_null(0.0).to_numpy(), side="left")
    return pl.Series(numbers.name, names[quarter]).set(numbers.is_null(), None)
