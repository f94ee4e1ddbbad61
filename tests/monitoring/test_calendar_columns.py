"""Hour and weekday are judged over whole weeks: no day alone is a finding, requests at other times are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from tests.monitoring.counted import count_windows

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.monitoring.calendar_columns import dated_columns, weekly_columns
from everfit.monitoring.drift_windows import DriftWindow, drift_windows
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PER_HOUR = 8
FEATURES = ("hour", "weekday", "day_name", "working", "month", "load")


def requests(first: int, last: int, *, opens: int = 7) -> pl.DataFrame:
    """Requests from the hour of opening to 21 o'clock, on Sundays until noon; columns are of a zone two hours ahead."""
    dice = np.random.default_rng(first)
    asked = [
        START + day * DAY + timedelta(hours=hour, minutes=7 * turn)
        for day in range(first, last)
        for hour in range(opens, 12 if day % 7 == 6 else 21)
        for turn in range(PER_HOUR)
    ]
    local = pl.col(TIME) + timedelta(hours=2)
    return pl.DataFrame({TIME: asked, KNOWN_AT: asked, LABEL: 0.0, PREDICTION: dice.random(len(asked))}).with_columns(
        pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"),
        hour=local.dt.hour() + local.dt.minute() / 60,
        weekday=local.dt.weekday(),
        day_name=local.dt.to_string("%A"),
        working=local.dt.weekday() < 6,
        month=local.dt.month(),
        load=pl.Series(dice.normal(size=len(asked))),
    )


def reference() -> ReferenceProfile:
    rows = requests(0, 90).with_columns((pl.col(TIME) >= START + 70 * DAY).alias(HELD_OUT))
    return ReferenceProfile(
        rows, Scale(task="binary", metric="log_loss", classes=(False, True)), FEATURES[:4] + FEATURES[5:], {}, DAY
    )


def judged(rows: pl.DataFrame) -> tuple[DriftWindow, ...]:
    counted = count_windows(rows, reference(), until=rows[TIME].dt.truncate("1d")[-1] + DAY)
    return drift_windows(counted, reference(), ef.Drift(), judged={})


def test_columns_of_the_clock_are_known_by_what_they_hold() -> None:
    rows = requests(0, 90)
    assert weekly_columns(rows, FEATURES) == {"hour", "weekday", "day_name", "working"}
    assert dated_columns(rows, ("month", "load", "hour")) == {"month"}
    assert weekly_columns(requests(0, 14), FEATURES) == frozenset()
    assert reference().inputs.measured == ("load",)


def test_no_day_alone_is_a_finding() -> None:
    assert {name for window in judged(requests(90, 132)) for name in window.drifted} == set()


def test_requests_at_other_hours_are_found_within_a_week() -> None:
    windows = judged(pl.concat([requests(90, 104), requests(104, 118, opens=0)]))
    first = next(window for window in windows if "hour" in window.drifted)
    assert START + 104 * DAY < first.end <= START + 112 * DAY
    # What the clock does not determine is judged day by day, in the first week too.
    moved = requests(91, 94).with_columns(pl.col("load") + 1.0)
    assert [window.drifted for window in judged(moved)] == [("load",)] * 3
