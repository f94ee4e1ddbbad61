"""Every metric where a class is absent from the truth, from the model, or from a resample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.class_names import read_class
from everfit.core.evidence import Task
from everfit.measures.class_metrics import aligned, union_of
from everfit.measures.interval import bootstrap_intervals, paired_bootstrap
from everfit.measures.quality import Metric, metrics_of
from everfit.measures.row_loss import LEAST_CHANCE, LossKind, row_losses
from everfit.measures.weighting import Floats

_CLASSES = ("b", "a", "d", "c")
_TASKS: list[Task] = ["binary", "multiclass"]


def draw(task: Task, seed: int, rows: int) -> tuple[Floats, Floats]:
    """Truth, some of it of classes that have no column, and predictions; any class may be absent."""
    rng = np.random.default_rng(seed)
    classes = 2 if task == "binary" else int(rng.integers(2, 5))
    there = rng.choice(np.arange(-1, classes), size=int(rng.integers(1, classes + 2)), replace=False)
    truth = rng.choice(there, size=rows).astype(np.float64)
    raw = rng.dirichlet(np.ones(classes), size=rows).round(3)
    return truth, raw[:, 1] if task == "binary" else raw


def worst(metric: Metric) -> float:
    if metric.name == "log_loss":
        return -float(np.log(np.finfo(np.float64).eps))
    return 0.0 if metric.greater_is_better else 1.0


@pytest.mark.parametrize("task", _TASKS)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 40))
def test_every_metric_is_undefined_or_within_its_range_and_no_worse_than_its_worst(
    task: Task, seed: int, rows: int
) -> None:
    truth, predicted = draw(task, seed, rows)
    for metric in metrics_of(task):
        value = metric.compute(truth, predicted)
        assert np.isnan(value) or metric.worse_by(value, worst(metric)) <= 1e-12, metric.name
        if metric.name in {"log_loss", "accuracy", "macro_f1", "brier", "calibration_error"}:
            assert not np.isnan(value)
        if (truth < 0).all() and not np.isnan(value):
            assert value == pytest.approx(worst(metric), abs=1e-6), metric.name


@pytest.mark.parametrize("task", _TASKS)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 40), more=st.integers(1, 5))
def test_a_row_of_a_class_that_the_model_does_not_know_never_makes_it_better(
    task: Task, seed: int, rows: int, more: int
) -> None:
    truth, predicted = draw(task, seed, rows)
    _, extra = draw(task, seed, rows + more)
    both = np.concatenate([predicted, extra[-more:]])
    for metric in metrics_of(task):
        without = metric.compute(truth, predicted)
        with_them = metric.compute(np.append(truth, np.full(more, -1.0)), both)
        assert np.isnan(without) or metric.worse_by(with_them, without) >= -1e-9, metric.name


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 30))
def test_columns_are_aligned_by_class_and_not_by_position(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    known = tuple(rng.permutation(_CLASSES)[: rng.integers(2, 4)].tolist())
    names = rng.choice(_CLASSES, size=rows)
    predicted = rng.dirichlet(np.ones(len(known)), size=rows)
    own = np.array([known.index(name) if name in known else -1.0 for name in names], dtype=np.float64)
    wide = union_of(rng.permutation(_CLASSES).tolist(), known)
    other = np.array([wide.index(name) for name in names], dtype=np.float64)
    moved = aligned(predicted, known, wide)
    for metric in metrics_of("multiclass"):
        # Two classes that a model does not know are one to its own F1.
        if metric.name != "macro_f1" or len(set(names) - set(known)) < 2:
            found = [metric.compute(own, predicted), metric.compute(other, moved)]
            assert found[0] == pytest.approx(found[1], abs=1e-9, nan_ok=True), metric.name


@given(seed=st.integers(0, 2**32), chance=st.floats(0, 1))
def test_of_two_classes_the_chance_is_turned_round(seed: int, chance: float) -> None:
    assert aligned(np.array([chance]), (False, True), (0, 1)).tolist() == [chance]
    assert aligned(np.array([chance]), ("no", "yes"), ("yes", "no"))[0] == 1.0 - chance
    with pytest.raises(KeyError, match="perhaps"):
        aligned(np.array([chance]), ("no", "yes"), ("no", "perhaps"))


@pytest.mark.parametrize("task", _TASKS)
@pytest.mark.parametrize("kind", ["log_loss", "brier", "error"])
def test_the_loss_of_such_a_row_is_the_largest(task: Task, kind: LossKind) -> None:
    if (task, kind) == ("multiclass", "brier"):
        return
    truth, predicted = draw(task, 3, 40)
    largest = -np.log(LEAST_CHANCE) if kind == "log_loss" else 1.0
    losses = row_losses(kind, np.full(40, -1.0), predicted).values
    assert losses.tolist() == [largest] * 40
    assert (row_losses(kind, truth, predicted).values <= largest).all()


def test_in_pairs_such_a_row_is_above_every_positive_one() -> None:
    pairs = row_losses("pairs", np.array([1.0, -1.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.8, 0.2]))
    assert pairs.values.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("task", _TASKS)
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 25))
def test_a_resample_may_lack_any_class(task: Task, seed: int, rows: int) -> None:
    truth, predicted = draw(task, seed, rows)
    metrics = metrics_of(task)
    for metric, found in zip(
        metrics, bootstrap_intervals(metrics, truth, predicted, resamples=10, seed=0), strict=True
    ):
        assert np.isnan(found.value) or found.value == pytest.approx(metric.compute(truth, predicted), abs=1e-9)
        paired = paired_bootstrap(metric, truth, predicted, predicted, resamples=5, seed=0)
        assert np.isnan(paired.difference) or paired.difference == 0


@given(st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=300)), st.booleans())
def test_an_outcome_is_one_class_or_none(value: object, new: bool) -> None:
    for classes in (("no", "yes"), (0, 1), (False, True), (1, 2, 3)):
        found = read_class(value, classes, new=new)
        assert found is None or read_class(found, classes, new=new) == found
    assert read_class(value, (False, True), new=True) in {None, "false", "true"}
