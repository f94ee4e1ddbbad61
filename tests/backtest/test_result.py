from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from everfit.backtest.backtest import cuts
from everfit.backtest.contender import parse_contender
from everfit.backtest.result import interval_by_weeks


def test_the_interval_holds_the_mean_of_independent_rows() -> None:
    """Of a hundred years without a difference, at most one in ten intervals leaves zero out."""
    dice, days = np.random.default_rng(1), np.repeat(np.arange(364), 5)
    outside = 0
    for _ in range(100):
        low, high = interval_by_weeks(dice.normal(size=len(days)), days)
        assert low is not None
        assert high is not None
        outside += not low <= 0 <= high
    assert outside <= 10


def test_rows_of_one_storm_count_as_one() -> None:
    """Where all rows of a day share a shock, the interval is as wide as that of the days."""
    dice, days = np.random.default_rng(2), np.repeat(np.arange(364), 200)
    shocks = dice.normal(size=364)[days]
    low, high = interval_by_weeks(shocks, days)
    assert low is not None
    assert high is not None
    assert 0.15 < high - low < 0.27  # 2 * 1.96 / sqrt(364) = 0.205


def test_a_few_days_have_no_interval() -> None:
    assert interval_by_weeks(np.ones(20), np.arange(20)) == (None, None)


def test_days_without_rows_are_no_harm() -> None:
    days = np.concatenate([np.arange(40), np.arange(300, 340)])
    assert interval_by_weeks(np.ones(80), days) == (1.0, 1.0)


@pytest.mark.parametrize(("period", "number"), [("7d", 5), ("30d", 2), ("60d", 1)])
def test_a_schedule_leaves_no_gap(period: str, number: int) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)
    found = cuts(parse_contender(f"refit {period}"), start, end)
    assert len(found) == number
    assert (found[0][0], found[-1][1]) == (start, end)
    assert pl.Series([begin for begin, _ in found[1:]]).equals(pl.Series([finish for _, finish in found[:-1]]))
