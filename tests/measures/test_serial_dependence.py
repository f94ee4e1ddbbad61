"""Levels of blocks, their correlation, and what is allowed for few of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.measures.serial_dependence import fewest_rows, serial_dependence


def series(seed: int, days: int, rows: int, correlation: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose daily levels are autoregressive, and each row's day."""
    dice, levels = np.random.default_rng(seed), np.empty(days)
    level = dice.normal()
    for day in range(days):
        level = correlation * level + np.sqrt(1 - correlation**2) * dice.normal()
        levels[day] = level
    place = np.repeat(np.arange(days), rows)
    return spread * levels[place] + dice.normal(size=days * rows), place


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
def test_many_days_tell_their_spread_and_correlation(correlation: float) -> None:
    found = serial_dependence(*series(1, 2_000, 50, correlation, 0.5))
    assert found.row_variance == pytest.approx(1.0, abs=0.02)
    assert found.level_variance == pytest.approx(0.25, abs=0.04)
    assert found.correlation == pytest.approx(correlation * 0.25 / 0.27, abs=0.06)
    assert found.widening == pytest.approx(1.0, abs=0.02)


def test_independent_rows_inherit_nothing() -> None:
    inherited = [serial_dependence(*series(seed, 14, 500, 0.0, 0.0)).correlation for seed in range(200)]
    # Chance makes days alike that are not, but levels which do not differ cannot be passed on.
    assert max(inherited) < 0.8
    assert np.mean(inherited) < 0.2


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_the_mean_is_seldom_beyond_its_limit(correlation: float) -> None:
    beyond = sum(
        serial_dependence(*series(seed, 20, 50, correlation, 0.5)).mean_at_most(0.05) < 0 for seed in range(400)
    )
    assert beyond <= 400 * 0.1


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 50)), min_size=3, max_size=30))
def test_blocks_one_by_one_are_blocks_at_once(blocks: list[tuple[float, int]]) -> None:
    place = np.repeat(np.arange(len(blocks)), [rows for _, rows in blocks])
    values = np.repeat([mean for mean, _ in blocks], [rows for _, rows in blocks])
    found = serial_dependence(values, place)
    means = np.array([mean for mean, _ in blocks])
    assert found.mean == pytest.approx(means.mean(), abs=1e-9)
    assert found.level_variance == pytest.approx(means.var(ddof=1), rel=1e-6, abs=1e-6)
    assert 0.0 <= found.correlation <= 0.9
    assert found.spread(1.0) > 0.0


def test_means_of_rare_events_need_many_rows() -> None:
    dice = np.random.default_rng(0)
    assert fewest_rows(np.ones(100)) == 1
    assert fewest_rows(dice.normal(size=10_000)) == 1
    assert 3 <= fewest_rows(dice.exponential(size=100_000)) <= 5
    assert 80 <= fewest_rows((dice.random(100_000) < 0.01).astype(float)) <= 115
