from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from everfit.core.errors import DataError
from everfit.measures.error_sketch import error_columns, error_layout, error_metrics, quantile
from everfit.measures.quality import metrics_of
from everfit.measures.score_sketch import ScoreSketch, score_bins
from everfit.measures.sketch import Sketch
from everfit.measures.weighting import Floats

REFERENCE = 1 / (1 + np.exp(-np.random.default_rng(0).normal(-1.0, 1.5, size=20_000)))
EDGES = score_bins(REFERENCE)


def scored(rows: int, seed: int, *, level: float = -1.0, spread: float = 1.5) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-rng.normal(level, spread, size=rows)))
    return (rng.random(rows) < chance).astype(np.float64), chance


def sketch(truth: Floats, predicted: Floats) -> ScoreSketch:
    made = ScoreSketch(EDGES, classes=2 if predicted.ndim == 1 else predicted.shape[1])
    made.add(truth, predicted)
    return made


@pytest.mark.parametrize(
    ("level", "spread"), [(-1.0, 1.5), (-5.0, 0.5), (-1.0, 0.02), (4.0, 3.0), (-9.0, 1.0)], ids=str
)
@pytest.mark.parametrize("informed", [True, False], ids=["reference", "none"])
def test_areas_are_scikit_learns_to_the_third_digit(level: float, spread: float, informed: bool) -> None:
    """Where scores crowd in a corner, too, that the reference knows, or not."""
    truth, chance = scored(60_000, 1, level=level, spread=spread)
    truth[:5], truth[5:10] = 1.0, 0.0
    made = ScoreSketch(score_bins(scored(20_000, 2, level=level, spread=spread)[1] if informed else None))
    made.add(truth, chance)
    found = made.metrics()
    if informed or spread > 0.1:
        assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, chance), abs=0.002)
        assert found["average_precision"] == pytest.approx(sk.average_precision_score(truth, chance), abs=0.01)
    assert found["log_loss"] == pytest.approx(sk.log_loss(truth, chance), rel=1e-9)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(truth, chance), rel=1e-9)
    assert found["accuracy"] == pytest.approx(((chance > 0.5) == truth).mean(), rel=1e-12)


@pytest.mark.parametrize("rows", [2, 30, 5_000])
def test_every_binary_metric_is_near_the_rows_own(rows: int) -> None:
    truth, chance = scored(rows, 3)
    truth[0], truth[1] = 0.0, 1.0
    found = sketch(truth, chance).metrics()
    metrics = metrics_of("binary")
    assert list(found) == [metric.name for metric in metrics]
    for metric in metrics:
        loose = metric.name in {"calibration_error", "average_precision"}
        assert found[metric.name] == pytest.approx(metric.compute(truth, chance), abs=0.01 if loose else 0.002), metric


def test_every_multiclass_metric_is_near_the_rows_own() -> None:
    rng = np.random.default_rng(4)
    raw = rng.gamma(1.0, size=(8_000, 4))
    chances = raw / raw.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(4, p=chance) for chance in chances], dtype=np.float64)
    truth[:20] = -1.0
    found = sketch(truth, chances).metrics()
    for metric in metrics_of("multiclass"):
        exact = metric.name != "macro_auc"
        assert found[metric.name] == pytest.approx(metric.compute(truth, chances), abs=1e-9 if exact else 0.002), metric


parts = st.integers(0, 50).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(0, 1_000)))


@given(parts, parts, parts)
def test_merging_is_exact(one: tuple[int, int], two: tuple[int, int], three: tuple[int, int]) -> None:
    first, second, third = (sketch(*scored(*part)) for part in (one, two, three))
    left = first.merge(second).merge(third)
    assert left.to_bytes() == third.merge(first.merge(second)).to_bytes()
    assert left.to_bytes() == ScoreSketch.from_bytes(left.to_bytes(), EDGES).to_bytes()
    together = ScoreSketch(EDGES)
    for part in (one, two, three):
        together.add(*scored(*part))
    assert left.to_bytes() == together.to_bytes()


def test_calibration_is_of_about_equally_many_rows() -> None:
    truth, chance = scored(50_000, 5)
    means, shares, rows = sketch(truth, chance).calibration()
    assert len(rows) == 10
    assert rows.min() > 4_000
    assert rows.sum() == 50_000
    assert (rows * means).sum() == pytest.approx(chance.sum(), rel=1e-8)
    assert np.abs(means - shares).max() < 0.03


def test_what_cannot_be_scored_is_counted_apart() -> None:
    made = sketch(np.array([1.0, 0.0]), np.array([np.nan, 0.2]))
    assert (made.rows, made.unscored) == (1, 1)
    assert math.isnan(made.metrics()["roc_auc"])
    assert all(math.isnan(value) for value in ScoreSketch(EDGES).metrics().values())
    with pytest.raises(DataError, match="columns"):
        made.add(np.zeros(2), np.zeros((2, 3)))
    with pytest.raises(DataError, match="same bins"):
        made.merge(ScoreSketch(score_bins()))
    with pytest.raises(DataError, match="bins"):
        ScoreSketch.from_bytes(made.to_bytes(), (0.5,))


def test_regression_metrics_are_exact_and_quantiles_near() -> None:
    rng = np.random.default_rng(6)
    truth = rng.gamma(2.0, 50.0, size=30_000)
    predicted = truth + rng.standard_t(4, size=30_000) * 10 + 1
    layout = error_layout(truth[:10_000], predicted[:10_000])
    made = [Sketch(layout), Sketch(layout)]
    for part, half in zip(made, (slice(0, 17_000), slice(17_000, None)), strict=True):
        part.add(error_columns(truth[half], predicted[half]))
    whole = made[0].merge(made[1])
    found = error_metrics(whole)
    for metric in metrics_of("regression"):
        assert found[metric.name] == pytest.approx(metric.compute(truth, predicted), rel=1e-9), metric
    error = whole.column("error")
    for share in (0.1, 0.5, 0.9, 0.99):
        assert quantile(error, share) == pytest.approx(np.quantile(predicted - truth, share), abs=0.5)
    assert quantile(error, 0.0) == (predicted - truth).min()
    assert all(math.isnan(value) for value in error_metrics(Sketch(layout)).values())
