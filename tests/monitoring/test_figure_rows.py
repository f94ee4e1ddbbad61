"""Figures of a sample of settled rows, with the numbers of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from tests.monitoring.lives import DAY

from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.monitoring import settled
from everfit.monitoring.figure_rows import FigureRows
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import MARK, NEW_CLASS
from everfit.monitoring.settled import ReportCounts, Settled

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SCALE = Scale(task="binary", metric="brier", classes=(False, True))


def predicted(rows: int) -> pl.DataFrame:
    """A row a minute, each tenth without a label."""
    dice = np.random.default_rng(0)
    at = pl.Series([BEGIN + number * timedelta(minutes=1) for number in range(rows)]).dt.cast_time_unit("us")
    chance = dice.random(rows)
    late = pl.Series((dice.random(rows) < chance).astype(float)).set(pl.Series(np.arange(rows) % 10 == 0), None)
    return pl.DataFrame({TIME: at, RECORDED_AT: at, PREDICTION: chance, LABEL: late}).with_columns(
        pl.lit(1).alias(VERSION),
        pl.lit("champion").alias(ROUTE),
        pl.lit(None, pl.String).alias(NEW_CLASS),
        pl.when(pl.col(LABEL).is_not_null()).then(pl.col(TIME)).alias(KNOWN_AT),
        pl.Series(MARK, dice.integers(0, 1 << 40, rows)),
    )


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_sample_has_the_metric_and_the_numbers_of_all_rows(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "_MOST_SAMPLED", 2_000)
    rows, gone = predicted(20_000), Settled()
    for part in rows.head(14_000).iter_slices(14_000 // pieces):
        gone = gone.add(part, window=DAY, reports=ReportCounts())
    figured = FigureRows.of(rows.tail(6_000), gone, since=BEGIN)
    whole = FigureRows.of(rows, Settled(), since=BEGIN)
    assert (figured.one_in, whole.one_in) == (8, 1)
    assert figured.rows.select(whole.rows.columns).equals(whole.rows.filter(pl.col(MARK) % 8 == 0))
    end = BEGIN + 15 * DAY
    found, exact = (part.overall(SCALE, start=BEGIN, end=end, weight=None) for part in (figured, whole))
    assert (found.rows, found.labelled) == (exact.rows, exact.labelled) == (20_000, 18_000)
    assert found.low is not None
    assert found.high is not None
    assert exact.value is not None
    assert found.low < exact.value < found.high
    days, all_days = (part.over_time(SCALE, every=DAY, weight=None) for part in (figured, whole))
    assert [(day.start, day.rows, day.labelled) for day in days] == [
        (day.start, day.rows, day.labelled) for day in all_days
    ]
    assert [(day.rows, day.labelled) for day in figured.coverage(every=DAY)] == [
        (day.rows, day.labelled) for day in whole.coverage(every=DAY)
    ]


def test_a_sample_reaches_back_three_months() -> None:
    rows = predicted(200).with_columns(pl.col(TIME) + pl.int_range(200) * timedelta(days=1))
    gone = Settled().add(rows, window=DAY, reports=ReportCounts())
    assert gone.sample is not None
    assert gone.sample.height == 92
    figured = FigureRows.of(rows.clear(), gone, since=BEGIN)
    assert (figured.total, figured.rows.height) == (200, 92)
    assert len(figured.over_time(SCALE, every=DAY, weight=None)) == 200
