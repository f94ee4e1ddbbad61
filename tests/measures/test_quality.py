from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Task
from everfit.measures.calibration import calibration_error_on
from everfit.measures.quality import METRICS, Metric, metric_for, metrics_of
from everfit.measures.regression_metrics import pinball_on
from everfit.measures.weighting import Floats

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CLASSES = 3


def near(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)


@st.composite
def binary(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    rows = draw(st.integers(2, 60))
    truth = draw(arrays.arrays(np.float64, rows, elements=st.sampled_from([0.0, 1.0])))
    assume(0 < truth.sum() < rows)
    # Few distinct chances, so that ties are common.
    chance = st.integers(0, 20).map(lambda number: number / 20) | st.floats(0, 1)
    return truth, draw(arrays.arrays(np.float64, rows, elements=chance)), draw(weights(rows))


@st.composite
def multiclass(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    rows = draw(st.integers(CLASSES, 40))
    rest = draw(arrays.arrays(np.int64, rows - CLASSES, elements=st.integers(0, CLASSES - 1)))
    truth = np.concatenate([np.arange(CLASSES), rest]).astype(np.float64)
    raw = draw(arrays.arrays(np.float64, (rows, CLASSES), elements=st.integers(1, 12).map(float)))
    return truth, raw / raw.sum(axis=1, keepdims=True), draw(weights(rows))


@st.composite
def regression(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    rows = draw(st.integers(2, 60))
    value = st.floats(-1000, 1000).map(lambda number: round(number, 3))
    truth = draw(arrays.arrays(np.float64, rows, elements=value))
    assume(np.ptp(truth) > 0.01)
    return truth, draw(arrays.arrays(np.float64, rows, elements=value)), draw(weights(rows))


def weights(rows: int) -> st.SearchStrategy[Floats]:
    counts = arrays.arrays(np.float64, rows, elements=st.integers(1, 4).map(float))
    return counts | arrays.arrays(np.float64, rows, elements=st.floats(0.1, 5.0))


def hard(predicted: Floats) -> Any:
    return (predicted > 0.5) if predicted.ndim == 1 else predicted.argmax(axis=1)


ORACLES: dict[tuple[Task, str], Any] = {
    ("binary", "log_loss"): lambda t, p, w: sk.log_loss(t, p, sample_weight=w, labels=[0, 1]),
    ("binary", "roc_auc"): lambda t, p, w: sk.roc_auc_score(t, p, sample_weight=w),
    ("binary", "average_precision"): lambda t, p, w: sk.average_precision_score(t, p, sample_weight=w),
    ("binary", "brier"): lambda t, p, w: sk.brier_score_loss(t, p, sample_weight=w),
    ("binary", "accuracy"): lambda t, p, w: sk.accuracy_score(t, hard(p), sample_weight=w),
    ("multiclass", "log_loss"): lambda t, p, w: sk.log_loss(t, p, sample_weight=w),
    ("multiclass", "accuracy"): lambda t, p, w: sk.accuracy_score(t, hard(p), sample_weight=w),
    ("multiclass", "macro_f1"): lambda t, p, w: sk.f1_score(t, hard(p), average="macro", sample_weight=w),
    ("multiclass", "macro_auc"): lambda t, p, w: np.mean(
        [sk.roc_auc_score(t == label, p[:, label], sample_weight=w) for label in range(CLASSES)]
    ),
    ("regression", "mae"): lambda t, p, w: sk.mean_absolute_error(t, p, sample_weight=w),
    ("regression", "rmse"): lambda t, p, w: sk.root_mean_squared_error(t, p, sample_weight=w),
    ("regression", "pinball_10"): lambda t, p, w: sk.mean_pinball_loss(t, p, sample_weight=w, alpha=0.1),
    ("regression", "pinball_90"): lambda t, p, w: sk.mean_pinball_loss(t, p, sample_weight=w, alpha=0.9),
    ("regression", "r2"): lambda t, p, w: sk.r2_score(t, p, sample_weight=w),
    ("regression", "bias"): lambda t, p, w: np.average(p - t, weights=w),
}


def agrees(task: Task, rows: tuple[Floats, Floats, Floats]) -> None:
    truth, predicted, weight = rows
    for (of, name), oracle in ORACLES.items():
        if of == task:
            metric = METRICS[of, name]
            assert near(metric.compute(truth, predicted, weight), oracle(truth, predicted, weight)), name
            assert near(metric.compute(truth, predicted), oracle(truth, predicted, None)), name


@given(binary())
@example((np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([1.0, 2.0])))
def test_binary_metrics_equal_scikit_learns(rows: tuple[Floats, Floats, Floats]) -> None:
    agrees("binary", rows)


@given(multiclass())
def test_multiclass_metrics_equal_scikit_learns(rows: tuple[Floats, Floats, Floats]) -> None:
    agrees("multiclass", rows)


@given(regression())
def test_regression_metrics_equal_scikit_learns(rows: tuple[Floats, Floats, Floats]) -> None:
    agrees("regression", rows)


def test_every_metric_has_an_oracle() -> None:
    assert set(METRICS) == {*ORACLES, ("binary", "calibration_error")}


@given(st.data(), st.sampled_from(list(METRICS)))
def test_a_weight_is_a_count(data: st.DataObject, key: tuple[Task, str]) -> None:
    """What the bootstrap relies on: a row of weight 2 is the row twice, and of weight 0 not there."""
    task, name = key
    if name == "calibration_error":
        return  # its bins are those of the unweighted rows, see below
    truth, predicted, _ = data.draw({"binary": binary, "multiclass": multiclass, "regression": regression}[task]())
    counts = data.draw(arrays.arrays(np.int64, len(truth), elements=st.integers(0, 3)))
    metric = METRICS[key]
    weighted = metric.compute(truth, predicted, counts.astype(np.float64))
    repeated = metric.compute(np.repeat(truth, counts), np.repeat(predicted, counts, axis=0))
    assert (math.isnan(weighted) and math.isnan(repeated)) or math.isclose(
        weighted, repeated, rel_tol=1e-9, abs_tol=1e-9
    )


@given(binary(), st.integers(2, 12))
def test_calibration_error_is_the_weighted_gap_of_quantile_bins(rows: tuple[Floats, Floats, Floats], bins: int) -> None:
    truth, predicted, weight = rows
    ranked = sorted(predicted)
    edges = [-math.inf, *(ranked[math.ceil(len(ranked) * part / bins) - 1] for part in range(1, bins)), math.inf]
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (predicted > low) & (predicted <= high)
        if inside.any():
            share = np.average(truth[inside], weights=weight[inside])
            chance = np.average(predicted[inside], weights=weight[inside])
            expected += abs(share - chance) * weight[inside].sum() / weight.sum()
    assert math.isclose(calibration_error_on(truth, predicted, bins=bins)(weight), expected, abs_tol=1e-12)


@pytest.mark.parametrize("metric", [METRICS[key] for key in METRICS], ids=lambda metric: metric.name)
def test_undefined_is_nan_and_never_a_warning(metric: Metric) -> None:
    task = metric.tasks[0]
    shape = (4, CLASSES) if task == "multiclass" else (4,)
    truth = np.zeros(4)
    predicted = np.full(shape, 1 / CLASSES)
    metric.compute(truth, predicted)
    assert math.isnan(metric.compute(truth, predicted, np.zeros(4)))
    assert math.isnan(metric.compute(truth[:0], predicted[:0]))
    predicted[0] = math.nan
    assert math.isnan(metric.compute(truth, predicted))


def test_an_area_needs_both_classes() -> None:
    for name in ("roc_auc", "average_precision"):
        assert math.isnan(metric_for(name, "binary").compute(np.zeros(3), np.array([0.1, 0.2, 0.3])))


@given(st.floats(-10, 10), st.floats(-10, 10), st.sampled_from(list(METRICS)))
def test_worse_is_always_positive(left: float, right: float, key: tuple[Task, str]) -> None:
    metric = METRICS[key]
    assert metric.worse_by(left, right) == -metric.worse_by(right, left)
    if metric.best_at_zero:
        assert (metric.worse_by(left, right) > 0) == (abs(left) > abs(right))
    else:
        assert (metric.worse_by(left, right) > 0) == ((left < right) if metric.greater_is_better else (left > right))


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(DefinitionError, match=r"regression model must be one of mae, rmse, .* but got 'roc_auc'"):
        metric_for("roc_auc", "regression")


@pytest.mark.parametrize("task", TASKS)
def test_metrics_of_a_task_are_distinct_and_described(task: Task) -> None:
    names = [metric.name for metric in metrics_of(task)]
    assert len(names) == len(set(names)) >= 4
    assert all(metric.description for metric in metrics_of(task))
    assert all(metric_for(name, task).name == name for name in names)


@given(st.floats(0.05, 0.95))
def test_pinball_is_least_at_its_quantile(quantile: float) -> None:
    truth, once = np.arange(1001.0), np.ones(1001)
    best = pinball_on(truth, np.full(1001, np.quantile(truth, quantile)), quantile=quantile)(once)
    for shift in (-50.0, 50.0):
        guess = np.full(1001, np.quantile(truth, quantile) + shift)
        assert pinball_on(truth, guess, quantile=quantile)(once) > best


def test_a_class_without_a_column_is_never_right() -> None:
    """A hold-out may hold a class that was not there to learn from; its index is -1."""
    predicted = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    truth = np.array([0.0, 1.0, -1.0])
    assert metric_for("accuracy", "multiclass").compute(truth, predicted) == pytest.approx(2 / 3)
    assert metric_for("log_loss", "multiclass").compute(truth, predicted) > 10
    assert metric_for("macro_f1", "multiclass").compute(truth, predicted) == pytest.approx(
        sk.f1_score(truth, [0, 1, 1], average="macro")
    )
