"""A changed unit, scale or sign is found by its jump, with its factor and offset; seasons and shifts are not."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np
import polars as pl
import pytest
from tests.monitoring.counted import count_windows
from tests.monitoring.lives import DAY

from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.monitoring.drift_windows import Counted
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile
from everfit.monitoring.unit_change import unit_changes_of, unit_findings

START = datetime(2024, 1, 1, tzinfo=UTC)
PER_DAY = 60
YEAR, BEGIN = 365, 30
"""The change begins so many days after the reference has ended."""


@cache
def weather() -> pl.DataFrame:
    """Fifteen months of hourly weather: a season, days that remember the day before, and the time of day."""
    dice, days = np.random.default_rng(3), YEAR + 90
    rows, noise = days * PER_DAY, np.zeros(days)
    for day in range(1, days):
        noise[day] = 0.7 * noise[day - 1] + dice.normal()
    at = np.arange(rows) / PER_DAY
    temp = 22 - 9 * np.cos(2 * np.pi * at / YEAR) + 2.5 * np.repeat(noise, PER_DAY) + 4 * np.sin(2 * np.pi * at)
    asked = [START + number * DAY / PER_DAY for number in range(rows)]
    return pl.DataFrame(
        {TIME: asked, KNOWN_AT: asked, LABEL: 0.0, PREDICTION: 0.5, "temp": temp + dice.normal(size=rows),
         "price": dice.lognormal(4, 0.6, size=rows), "flag": (dice.random(rows) < 0.2).astype(float)}
    ).with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"))  # fmt: skip


@cache
def reference() -> ReferenceProfile:
    rows = weather().head(YEAR * PER_DAY)
    rows = rows.with_columns((pl.col(TIME) >= START + (YEAR - 60) * DAY).alias(HELD_OUT))
    scale = Scale(task="binary", metric="log_loss", classes=(False, True))
    return ReferenceProfile(rows, scale, ("temp", "price", "flag"), {}, DAY)


def windows(factor: float, offset: float, *, days: int, until: int = 90) -> tuple[Counted, ...]:
    """So many days from the change on, which lasts ``until`` a day after the reference."""
    rows = weather().slice(YEAR * PER_DAY, (BEGIN + days) * PER_DAY)
    begin, end = START + (YEAR + BEGIN) * DAY, START + (YEAR + until) * DAY
    changed = pl.when(pl.col(TIME).is_between(begin, end, closed="left"))
    moved = [changed.then(pl.col(name) * factor + offset).otherwise(name).alias(name) for name in ("temp", "price")]
    return count_windows(rows.with_columns(moved), reference(), until=rows[TIME][-1] + DAY / PER_DAY)


@pytest.mark.parametrize(
    ("factor", "offset", "words"),
    [
        (1.8, 32.0, "times 1.8 plus 32 (°C to °F)"),
        (0.3, 0.0, "times 0."),
        (-1.0, 0.0, "times -1 (the sign)"),
        (100.0, 0.0, "times "),
        (1.0, 273.15, "times 1 plus 273 (°C to K)"),
    ],
)
def test_a_change_is_found_within_a_week_and_named(factor: float, offset: float, words: str) -> None:
    found = unit_changes_of(windows(factor, offset, days=7), reference(), alpha=0.05)
    assert {change.column for change in found} == {"temp", "price"}
    price = next(finding for finding in unit_findings(found, "m") if finding.subject == "price")
    assert words in price.sentence
    assert price.numbers["factor"] == pytest.approx(factor, rel=0.1)
    assert price.numbers["offset"] == pytest.approx(offset, abs=0.5)
    assert price.since is not None
    assert abs(price.since - (START + (YEAR + BEGIN) * DAY)) <= 2 * DAY


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (1.1, 0.0), (1.0, 2.0)])
def test_seasons_and_small_shifts_are_none(factor: float, offset: float) -> None:
    held = windows(factor, offset, days=60)
    assert not [newest for newest in range(1, len(held)) if unit_changes_of(held[:newest], reference(), alpha=0.05)]


def test_it_goes_on_until_it_is_undone() -> None:
    held = windows(1.8, 32.0, days=60, until=BEGIN + 40)
    present = [bool(unit_changes_of(held[:newest], reference(), alpha=0.05)) for newest in range(1, len(held) + 1)]
    assert not any(present[:BEGIN])
    assert all(present[BEGIN + 6 : BEGIN + 40]), present
    assert not any(present[BEGIN + 50 :]), present


def test_with_few_days_of_reference_nothing_is_said() -> None:
    rows = weather().head(20 * PER_DAY).with_columns(pl.lit(True).alias(HELD_OUT))
    short = ReferenceProfile(rows, reference().scale, ("temp",), {}, DAY)
    later = weather().slice(20 * PER_DAY, 20 * PER_DAY).with_columns(pl.col("temp") * 1.8 + 32)
    assert unit_changes_of(count_windows(later, short, until=START + YEAR * DAY), short, alpha=0.05) == ()


def test_dry_weeks_and_wet_ones_are_no_units() -> None:
    dice, rows = np.random.default_rng(6), weather().head((YEAR + 60) * PER_DAY)
    # Nights of rain come in spells; a wet week after two dry ones is times 66 of them.
    wet = np.repeat(np.repeat(dice.random((YEAR + 60) // 5 + 1) < 0.3, 5)[: YEAR + 60], PER_DAY)
    rain = np.where(wet & (dice.random(rows.height) < 0.6), dice.exponential(2.0, rows.height), 0.0)
    rows = rows.with_columns(pl.Series("temp", rain), pl.lit(True).alias(HELD_OUT))
    learnt = ReferenceProfile(rows.head(55 * PER_DAY), reference().scale, ("temp",), {}, DAY)
    assert learnt.inputs.measured == ()
    held = count_windows(rows.slice(55 * PER_DAY, 60 * PER_DAY), learnt, until=START + 2 * YEAR * DAY)
    assert not [newest for newest in range(1, 61) if unit_changes_of(held[:newest], learnt, alpha=0.05)]


def test_columns_that_are_often_zero_or_become_constant_raise_nothing() -> None:
    """Logarithms of zero are no levels; a warning would be an error here."""
    dice = np.random.default_rng(5)
    rows = weather().head((YEAR + 30) * PER_DAY)
    late = np.minimum(dice.exponential(size=rows.height).round(1), 0.9) * (dice.random(rows.height) < 0.9)
    rows = rows.with_columns(pl.Series("temp", late), pl.lit(True).alias(HELD_OUT))
    learnt = ReferenceProfile(rows.head(YEAR * PER_DAY), reference().scale, ("temp",), {}, DAY)
    assert learnt.inputs.measured == ("temp",)
    for factor, offset in ((1.8, 32.0), (-5.0, 0.0), (0.0, 10.0), (0.0, 0.0)):
        changed = rows.tail(30 * PER_DAY).with_columns(
            pl.when(pl.col(TIME) < START + (YEAR + 15) * DAY)
            .then("temp")
            .otherwise(pl.col("temp") * factor + offset)
            .alias("temp")
        )
        held = count_windows(changed, learnt, until=START + 2 * YEAR * DAY)
        assert len([unit_changes_of(held[:newest], learnt, alpha=0.05) for newest in range(1, 31)]) == 30
