"""Days are the unit of an alarm where rows of a day, and successive days, depend on each other."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl
import pytest
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import ID, KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.measures.weighting import Floats
from everfit.monitoring.alarm_steps import EnteredLosses, block_ends
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_alarm import PerformanceTest, performance_alarm
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2026, 3, 1, tzinfo=UTC)
SCALE = Scale(task="regression", metric="mae", classes=())
ALPHA = 0.05
LIVES = int(os.environ.get("EVERFIT_TEST_DEPENDENT_LIVES", "10"))
"""A second each at 300 rows a day; 400 are the whole proof."""
DAY_US = 86_400_000_000
Shocks = Literal["normal", "skewed"]


def rows(levels: Floats, per_day: int, dice: np.random.Generator, first: int) -> pl.DataFrame:
    """Absolute errors of days with some levels, known two hours later."""
    count = len(levels) * per_day
    asked = pl.Series(np.arange(count) * (DAY_US // per_day), dtype=pl.Int64).cast(pl.Duration("us"))
    frame = pl.DataFrame({TIME: (asked + (START + first * DAY)).cast(pl.Datetime("us", "UTC"))})
    errors = np.repeat(levels, per_day) * dice.gamma(1.5, 1 / 1.5, size=count)
    return frame.with_columns(
        pl.col(TIME).cast(pl.String).alias(ID),
        (pl.col(TIME) + timedelta(hours=2)).alias(KNOWN_AT),
        pl.Series(LABEL, errors),
        pl.lit(0.0).alias(PREDICTION),
    )


def levels(dice: np.random.Generator, days: int, correlation: float, spread: float, shocks: Shocks) -> Floats:
    """Mean losses of days: about 1, with some autocorrelation."""
    found, level = np.empty(days), dice.normal()
    for day in range(days):
        shock = dice.normal() if shocks == "normal" else dice.exponential() - 1.0
        level = correlation * level + np.sqrt(1 - correlation**2) * shock
        found[day] = level
    usual: Floats = np.maximum(1.0 + spread * found, 0.05)
    return usual


def alarms(
    seed: int, per_day: int, correlation: float, *, days: int, spread: float = 0.1, worse_from: int | None = None,
    shocks: Shocks = "normal", times: float = 2.0,
) -> list[float]:  # fmt: skip
    """Days of the alarms of a life, which is times as bad from some day on."""
    dice, held_out = np.random.default_rng(seed), max(14, -(-500 // per_day))
    means = levels(dice, held_out + days, correlation, spread, shocks)
    if worse_from is not None:
        means[held_out + worse_from :] *= times
    known = rows(means[:held_out], per_day, dice, -held_out).with_columns(pl.lit(True).alias(HELD_OUT))
    reference = ReferenceProfile(known, SCALE, (), {}, DAY)
    alarm = performance_alarm(rows(means[held_out:], per_day, dice, 0), reference, ef.PerformanceDrop(alpha=ALPHA))
    assert alarm is not None
    return [(episode.alarmed_at - START) / DAY for episode in alarm.episodes]


@pytest.mark.parametrize(("per_day", "correlation"), [(30, 0.0), (30, 0.6), (300, 0.6)])
def test_dependent_days_are_no_alarm(per_day: int, correlation: float) -> None:
    """Rows in groups of their design effect had a false alarm in 20 of 30 such years (300 rows, 0.6)."""
    false = sum(bool(alarms(seed, per_day, correlation, days=120)) for seed in range(8))
    assert false <= 1


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("per_day", [3, 30, 300])
def test_a_year_of_dependent_days_has_a_false_alarm_with_the_stated_chance(per_day: int, correlation: float) -> None:
    false = sum(bool(alarms(seed, per_day, correlation, days=365)) for seed in range(LIVES))
    sys.stdout.write(f"{per_day} rows a day, {correlation}: {false} of {LIVES} lives with a false alarm\n")
    assert false <= max(ALPHA * LIVES, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("per_day", "most_days"), [(30, 3.25), (300, 3.25), (3_000, 3.25)])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
def test_a_doubled_loss_is_found_within_days(per_day: int, most_days: float, correlation: float) -> None:
    found = [alarms(seed, per_day, correlation, days=80, worse_from=60) for seed in range(7)]
    delays = [min((day for day in days if day >= 60), default=80.0) - 60 for days in found]
    sys.stdout.write(f"{per_day} rows a day, {correlation}: median delay {np.median(delays):.1f} days\n")
    assert np.median(delays) <= most_days


def test_one_day_makes_no_alarm_and_two_may() -> None:
    dice = np.random.default_rng(4)
    held_out, usual = np.ones(14) + 0.05 * dice.normal(size=14), np.ones(20) + 0.05 * dice.normal(size=20)
    known = rows(held_out, 100, dice, -14).with_columns(pl.lit(True).alias(HELD_OUT))
    reference = ReferenceProfile(known, SCALE, (), {}, DAY)
    for bad, expected in ((1, False), (2, True)):
        days = usual.copy()
        days[10 : 10 + bad] = 4.0
        alarm = performance_alarm(rows(days, 100, dice, 0), reference, ef.PerformanceDrop(alpha=ALPHA))
        assert alarm is not None
        assert bool(alarm.episodes) == expected
        if expected:
            assert alarm.episodes[0].since == START + 10 * DAY


def test_days_that_are_alike_are_not_waited_for() -> None:
    dice = np.random.default_rng(5)
    known = rows(np.ones(14), 3_000, dice, -14).with_columns(pl.lit(True).alias(HELD_OUT))
    test = PerformanceTest(ReferenceProfile(known, SCALE, (), {}, DAY), ef.PerformanceDrop(alpha=ALPHA))
    alarm = test.of(rows(np.array([1.0, 2.0]), 3_000, dice, 0))
    assert START + DAY < alarm.episodes[0].alarmed_at < START + 1.5 * DAY


def entered(times: list[float], entries: list[float]) -> EnteredLosses:
    """Losses with event times and entries in days."""
    none = np.zeros(len(times))
    us = [(np.array(values) * DAY_US).astype(np.int64) for values in (times, entries)]
    return EnteredLosses(losses=none, surprises=none, times_us=us[0], entered_us=us[1])


def test_blocks_end_with_days_that_have_rows_enough() -> None:
    times = [0.1, 0.9, 1.1, 1.2, 2.5, 2.6, 3.1]
    at_once = entered(times, times)
    assert block_ends(0, None, at_once, least_rows=1, wait_us=0).tolist() == [2, 4, 6]
    assert block_ends(0, None, at_once, least_rows=3, wait_us=0).tolist() == [4]
    # A row of yesterday that came late is of today's block.
    late = entered([0.1, 0.9, 1.1, 0.8, 1.3, 2.2], [0.2, 1.0, 1.2, 1.25, 1.4, 2.3])
    assert block_ends(0, None, late, least_rows=1, wait_us=int(0.1 * DAY_US)).tolist() == [2, 5]
    # Labels of a month that came all at once have their events' days.
    batch = entered(times, [30.0] * 7)
    assert block_ends(0, None, batch, least_rows=2, wait_us=0).tolist() == [2, 4, 6]
    # A block that goes on has the rows from before.
    assert block_ends(
        2, (int(0.95 * DAY_US), int(0.95 * DAY_US)), entered([1.1], [1.1]), least_rows=2, wait_us=0
    ).tolist() == [0]
