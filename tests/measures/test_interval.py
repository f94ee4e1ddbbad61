from __future__ import annotations

import math

import numpy as np
import pytest

from everfit.measures import interval
from everfit.measures.interval import bootstrap_interval, bootstrap_intervals, paired_bootstrap
from everfit.measures.quality import Metric, metric_for, metrics_of
from everfit.measures.weighting import Floats

LOG_LOSS = metric_for("log_loss", "binary")
AUC = metric_for("roc_auc", "binary")


def sample(rows: int, seed: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    chance = random.beta(2, 5, rows)
    return (random.random(rows) < chance).astype(np.float64), chance


def noisy(chance: Floats, by: float, seed: int) -> Floats:
    """The same chances with noise on the log odds."""
    odds = np.log(chance / (1 - chance)) + np.random.default_rng(seed).normal(0, by, len(chance))
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def test_equal_seeds_give_equal_intervals() -> None:
    truth, chance = sample(500, 1)
    first = bootstrap_interval(AUC, truth, chance, resamples=50, seed=3)
    assert first == bootstrap_interval(AUC, truth, chance, resamples=50, seed=3)
    assert first != bootstrap_interval(AUC, truth, chance, resamples=50, seed=4)
    both = bootstrap_intervals([LOG_LOSS, AUC], truth, chance, resamples=50, seed=3)
    assert both[1] == first, "a metric's interval must not depend on its company"


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC], ids=lambda metric: metric.name)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(metric: Metric) -> None:
    population = metric.compute(*sample(2_000_000, 0))
    held = 0
    for seed in range(200):
        found = bootstrap_interval(metric, *sample(800, 100 + seed), resamples=200, seed=seed)
        held += found.low <= population <= found.high
    assert 180 <= held <= 199, held


def test_many_rows_are_resampled_from_a_part_with_the_width_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, chance = sample(40_000, 5)
    whole = bootstrap_interval(LOG_LOSS, truth, chance, resamples=400, seed=1)
    monkeypatch.setattr(interval, "MOST_ROWS", 5_000)
    part = bootstrap_interval(LOG_LOSS, truth, chance, resamples=400, seed=1)
    assert part.value == whole.value
    assert part.low < part.value < part.high
    assert (part.high - part.low) == pytest.approx(whole.high - whole.low, rel=0.2)


def test_every_interval_holds_its_value() -> None:
    truth, chance = sample(300, 2)
    for metric, found in zip(
        metrics_of("binary"),
        bootstrap_intervals(metrics_of("binary"), truth, chance, resamples=100, seed=0),
        strict=True,
    ):
        assert found.low <= found.value == metric.compute(truth, chance) <= found.high


def test_a_single_class_has_no_area_but_a_loss() -> None:
    loss, area = bootstrap_intervals([LOG_LOSS, AUC], np.zeros(50), np.full(50, 0.1), resamples=20, seed=0)
    assert loss.low == pytest.approx(loss.high)
    assert math.isnan(area.value)
    assert math.isnan(area.low)
    assert math.isnan(area.high)


def test_no_rows_are_no_news() -> None:
    nothing = np.zeros(0)
    assert math.isnan(bootstrap_interval(LOG_LOSS, nothing, nothing, resamples=10, seed=0).value)
    assert math.isnan(paired_bootstrap(LOG_LOSS, nothing, nothing, nothing, resamples=10, seed=0).chance_worse)


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC], ids=lambda metric: metric.name)
def test_positive_means_that_a_is_worse(metric: Metric) -> None:
    truth, chance = sample(4_000, 7)
    worse = noisy(chance, 1.0, 8)
    found = paired_bootstrap(metric, truth, worse, chance, resamples=200, seed=0)
    assert 0 < found.low < found.difference < found.high
    assert found.chance_worse == 1.0
    turned = paired_bootstrap(metric, truth, chance, worse, resamples=200, seed=0)
    assert turned.difference == -found.difference
    assert turned.high == pytest.approx(-found.low)
    assert turned.chance_worse == 0.0


def test_equal_predictions_are_neither_better_nor_worse() -> None:
    truth, chance = sample(500, 9)
    found = paired_bootstrap(AUC, truth, chance, chance, resamples=50, seed=0)
    assert (found.difference, found.low, found.high, found.chance_worse) == (0.0, 0.0, 0.0, 0.5)


def test_a_weight_of_two_is_a_row_given_twice() -> None:
    truth, chance = sample(400, 13)
    other = noisy(chance, 0.5, 14)
    times = np.random.default_rng(15).integers(1, 4, len(truth))
    weighted = paired_bootstrap(AUC, truth, other, chance, resamples=200, seed=0, weight=times.astype(np.float64))
    repeated = (np.repeat(each, times) for each in (truth, other, chance))
    assert weighted.difference == pytest.approx(paired_bootstrap(AUC, *repeated, resamples=2, seed=0).difference)
    plain = paired_bootstrap(AUC, truth, other, chance, resamples=200, seed=0)
    assert paired_bootstrap(AUC, truth, other, chance, resamples=200, seed=0, weight=np.ones(400)) == plain
    assert weighted != plain


def test_pairing_knows_a_difference_that_two_intervals_cannot_tell() -> None:
    truth, chance = sample(3_000, 11)
    slightly = noisy(chance, 0.3, 12)
    alone = bootstrap_interval(LOG_LOSS, truth, chance, resamples=200, seed=0)
    other = bootstrap_interval(LOG_LOSS, truth, slightly, resamples=200, seed=0)
    assert other.low < alone.high, "the intervals overlap"
    assert paired_bootstrap(LOG_LOSS, truth, slightly, chance, resamples=200, seed=0).low > 0
