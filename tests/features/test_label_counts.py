"""Counts of labels: by event time, by known time, and with few readings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import everfit as ef
from everfit.features.label_counts import LabelCounter
from everfit.store.reader import Reader

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def events(days: int, *, delay: timedelta = DAY) -> pl.DataFrame:
    """Return one event a day, whose label is known a day later; every fourth has none."""
    return pl.DataFrame(
        {
            "id": range(days),
            "at": [START + number * DAY for number in range(days)],
            "known": [START + number * DAY + delay for number in range(days)],
            "weight": 1.0,
            "cancelled": False,
            "late": [None if number % 4 == 3 else number % 2 == 0 for number in range(days)],
        },
        schema_overrides={"late": pl.Boolean},
    )


class CountingReader(Reader):
    """A reader that counts its readings."""

    scans = 0

    def scan(self, source: ef.Source, **options: Any) -> pl.LazyFrame:
        self.scans += 1
        return super().scan(source, **options)


def counter(folder: Path, rows: pl.DataFrame, *, created: str | None = None) -> tuple[LabelCounter, CountingReader]:
    rows.write_parquet(folder / "events.parquet")
    reader = CountingReader(folder, {})
    source = ef.Source("events", path="events.parquet", timestamp="at", created=created)
    model = ef.Model(
        "late",
        task="binary",
        events=ef.Events(source, id="id", where=~pl.col("cancelled")),
        request=["weight"],
        features=["weight"],
        label=ef.Label("late", known_at="known"),
    )
    return LabelCounter(model, reader), reader


def test_labels_count_by_when_they_became_known_and_by_when_their_event_was(tmp_path: Path) -> None:
    counted = counter(tmp_path, events(20))[0].count(
        START + 12 * DAY, as_of=START + 8 * DAY, trained_until=START + 6 * DAY
    )
    # Events 0 to 11 are known, but for 3, 7 and 11, which have no label.
    assert counted.total == 9
    # Of these, 8, 9 and 10 became known after day 8; event 7, which was known on day 8, has no label.
    assert counted.known_since == 3
    # Events 6, 8, 9, 10.
    assert counted.of_later_events == 4


def test_a_late_label_of_an_old_event_is_new_data_but_not_of_a_later_event(tmp_path: Path) -> None:
    slow = events(4, delay=30 * DAY)
    counted = counter(tmp_path, slow)[0].count(START + 40 * DAY, as_of=START + 20 * DAY, trained_until=START + 20 * DAY)
    assert (counted.known_since, counted.of_later_events) == (3, 0)


def test_cancelled_events_and_rows_that_were_created_later_do_not_count(tmp_path: Path) -> None:
    rows = events(8).with_columns(
        cancelled=pl.col("id") == 0, created=pl.col("at") + pl.when(pl.col("id") == 1).then(9 * DAY).otherwise(DAY)
    )
    counting, _ = counter(tmp_path, rows, created="created")
    assert counting.count(START + 8 * DAY).total == 4
    assert counting.count(START + 10 * DAY).total == 5


def test_one_reading_serves_every_later_instant_until_the_file_changes(tmp_path: Path) -> None:
    counting, reader = counter(tmp_path, events(20))
    since = {"as_of": START + 2 * DAY, "trained_until": START + 2 * DAY}
    fresh = [counter(tmp_path, events(20))[0].count(START + day * DAY, **since) for day in range(3, 25)]
    assert [counting.count(START + day * DAY, **since) for day in range(3, 25)] == fresh
    assert reader.scans == 1
    events(30).write_parquet(tmp_path / "events.parquet")
    counting._next_s = 0.0
    assert counting.count(START + 40 * DAY, **since).total == 23
    assert reader.scans == 2
    # Another champion, and a clock that was set back, are counted from the source.
    assert counting.count(START + 40 * DAY, as_of=START + 39 * DAY, trained_until=START).known_since == 0
    assert counting.count(START + 4 * DAY, **since).total == 3
    assert reader.scans == 4


def test_counting_an_always_changing_source_takes_a_small_share_of_the_time(tmp_path: Path) -> None:
    counting, reader = counter(tmp_path, events(4))
    counting.count(START + 9 * DAY)
    for days in range(5, 15):
        events(days).write_parquet(tmp_path / "events.parquet")
        counting.count(START + 20 * DAY)
    assert reader.scans <= 2


@pytest.mark.parametrize("column", ["known", "late", "at"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    with pytest.raises(ef.EverfitError, match="a column that is used must exist"):
        counter(tmp_path, events(4).drop(column))[0].count(START + 9 * DAY)
