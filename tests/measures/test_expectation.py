from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from everfit.measures.quality import Metric, expected_metric, metric_for
from everfit.measures.weighting import Floats

BINARY_MEANS = ("log_loss", "brier", "accuracy")


def by_enumeration(metric: Metric, chances: Floats, predicted: Floats) -> float:
    """The mean over everything that could come true, each by its chance."""
    found = 0.0
    for outcome in product(range(chances.shape[1]), repeat=len(chances)):
        chance = float(np.prod(chances[np.arange(len(chances)), outcome]))
        found += chance * metric.compute(np.array(outcome, dtype=np.float64), predicted)
    return found


@pytest.mark.parametrize("name", BINARY_MEANS)
@pytest.mark.parametrize("seed", range(5))
def test_a_binary_mean_is_its_expectation(name: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    chances, predicted = dice.random(8), dice.random(8)
    metric = metric_for(name, "binary")
    both = np.column_stack([1 - chances, chances])
    assert expected_metric(metric, chances, predicted) == pytest.approx(by_enumeration(metric, both, predicted))


@pytest.mark.parametrize("name", ["log_loss", "accuracy"])
def test_a_multiclass_mean_is_its_expectation(name: str) -> None:
    dice = np.random.default_rng(7)
    chances, predicted = dice.dirichlet(np.ones(3), 6), dice.dirichlet(np.ones(3), 6)
    metric = metric_for(name, "multiclass")
    assert expected_metric(metric, chances, predicted) == pytest.approx(by_enumeration(metric, chances, predicted))


def test_an_area_is_the_ratio_of_expected_pairs() -> None:
    """Every pair by the chance that it is one of a positive and a negative row; a row beside itself ties."""
    dice = np.random.default_rng(1)
    chances, predicted = dice.random(40), dice.integers(0, 10, 40) / 10
    ahead = (predicted[:, None] > predicted[None, :]) + 0.5 * (predicted[:, None] == predicted[None, :])
    pairs = chances[:, None] * (1 - chances[None, :])
    found = expected_metric(metric_for("roc_auc", "binary"), chances, predicted)
    assert found == pytest.approx(float((ahead * pairs).sum() / pairs.sum()), abs=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_ratio_is_close_to_its_expectation(name: str) -> None:
    dice = np.random.default_rng(2)
    chances, predicted = dice.beta(1.0, 2.0, 2_000), dice.random(2_000)
    predicted = np.clip(0.5 * chances + 0.5 * predicted, 0, 1)
    metric = metric_for(name, "binary")
    drawn = [metric.compute((dice.random(2_000) < chances).astype(np.float64), predicted) for _ in range(400)]
    reach = 4 * np.std(drawn) / np.sqrt(400)
    assert expected_metric(metric, chances, predicted) == pytest.approx(np.mean(drawn), abs=reach + 1 / 2_000)


def test_weights_are_repetitions() -> None:
    dice = np.random.default_rng(3)
    chances, predicted, times = dice.random(30), dice.random(30), dice.integers(0, 4, 30)
    metric = metric_for("roc_auc", "binary")
    weighed = expected_metric(metric, chances, predicted, times.astype(np.float64))
    assert weighed == pytest.approx(expected_metric(metric, chances.repeat(times), predicted.repeat(times)))
