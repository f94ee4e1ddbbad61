"""The training window limits the events of a frame, and nothing of their features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import everfit as ef
from everfit.core.columns import LABEL, TIME
from everfit.core.errors import EmptyWindowError
from everfit.features.history import build_frame
from everfit.features.training_start import count_labelled, training_start
from everfit.store.reader import Reader

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
READER = Reader(Path(), {})
ROWS = 600
AS_OF = START + 40 * DAY
TABLE = pl.DataFrame(
    {
        "id": range(ROWS),
        # Four events in an instant, four instants a day; every fifth label is known only after two weeks.
        "at": [START + number // 4 * DAY / 4 for number in range(ROWS)],
        "known": [START + number // 4 * DAY / 4 + DAY * (14 if number % 5 == 0 else 1) for number in range(ROWS)],
        "shop": [number % 3 for number in range(ROWS)],
        "late": [number % 2 == 0 for number in range(ROWS)],
    }
)
SOURCE = ef.Source("rows", function=lambda: TABLE, timestamp="at")
SHOP = ef.Entity("shop", dtype=pl.Int64)


@ef.feature_view(entities=[SHOP], source=SOURCE, timestamp="known", ttl="30d", lookback="30d")
def record(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.sort("known").rolling("known", period="30d", group_by="shop").agg(pl.col("late").sum())


def model(history: str | int | None, **more: Any) -> ef.Model:
    return ef.Model(
        "late",
        task="binary",
        events=ef.Events(SOURCE, id="id", **more),
        request=["shop"],
        features=[record],
        label=ef.Label("late", known_at="known"),
        history=history,
    )


WHOLE = build_frame(model(None), READER, as_of=AS_OF)


def test_a_duration_ends_with_the_training() -> None:
    week = model("7d")
    assert training_start(model(None), READER, as_of=AS_OF) is None
    assert training_start(week, READER, as_of=AS_OF) == AS_OF - 7 * DAY
    assert training_start(week, READER, as_of=AS_OF, end=AS_OF - 20 * DAY) == AS_OF - 27 * DAY
    assert training_start(week, READER, as_of=AS_OF, end=AS_OF + 20 * DAY) == AS_OF - 7 * DAY
    assert training_start(week, READER, as_of=AS_OF, share=0.5) == AS_OF - 3.5 * DAY


@pytest.mark.parametrize("history", ["20d", 250])
def test_features_look_back_beyond_the_window(history: str | int) -> None:
    limited = model(history)
    frame = build_frame(limited, READER, as_of=AS_OF)
    assert frame.manifest.start == training_start(limited, READER, as_of=AS_OF)
    assert frame.manifest.start > WHOLE.manifest.start
    assert_frame_equal(frame.data, WHOLE.data.filter(pl.col(TIME) >= frame.manifest.start))
    assert (frame.manifest.history, WHOLE.manifest.history) == (str(limited.history), model(None).history_text)
    assert 200 <= frame.manifest.labelled < WHOLE.manifest.labelled


def test_a_recorded_start_gives_the_same_frame_again() -> None:
    first = build_frame(model(250), READER, as_of=AS_OF).manifest
    again = build_frame(model("1h"), READER, as_of=first.as_of, start=first.start, end=first.end).manifest
    assert (again.digest, again.start, again.rows) == (first.digest, first.start, first.rows)
    assert again.history == ""


@settings(max_examples=30)
@given(history=st.integers(200, 700), days=st.integers(30, 160), ends=st.integers(-40, 10))
def test_the_newest_labelled_rows_and_those_of_the_oldest_instant(history: int, days: int, ends: int) -> None:
    as_of = START + days * DAY
    end = as_of + ends * DAY
    labelled = TABLE.filter(pl.max_horizontal("at", "known") <= as_of, pl.col("at") < end)
    start = training_start(model(history), READER, as_of=as_of, end=end)
    if labelled.height <= history:
        assert start is None
        return
    assert start is not None
    assert labelled.filter(pl.col("at") >= start).height >= history
    assert labelled.filter(pl.col("at") > start).height < history


def test_only_events_of_the_filter_count() -> None:
    some = model(200, where=pl.col("shop") == 1)
    frame = build_frame(some, READER, as_of=START + 200 * DAY)
    assert (frame.manifest.rows, frame.data["shop"].unique().to_list()) == (200, [1])
    assert count_labelled(some, READER, as_of=START + 200 * DAY) == 200
    assert count_labelled(model("7d"), READER, as_of=AS_OF) == WHOLE.data[LABEL].count()


def test_an_empty_window_is_named() -> None:
    with pytest.raises(EmptyWindowError, match=r"The model's history is the last 1d\.$"):
        build_frame(model("1d"), READER, as_of=START + 400 * DAY)
