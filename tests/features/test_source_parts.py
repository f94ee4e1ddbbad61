"""Frames, labels and freshness read the columns and the time that they need, and no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import everfit as ef
from everfit.features.freshness import measure_freshness
from everfit.features.history import build_frame
from everfit.features.labels import scan_labels
from everfit.features.newest import EventWindow, newest_window
from everfit.store.reader import Reader

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = 400
END = START + ROWS * HOUR


@pytest.fixture
def source(tmp_path: Path) -> ef.Source:
    """One ride an hour, with columns that nothing uses."""
    with sqlite3.connect(tmp_path / "rides.db") as connection:
        connection.execute("create table r (id integer, at text, ended text, city text, minutes real, unused text)")
        rows = [
            (n, (START + n * HOUR).isoformat(), (START + (n + 1) * HOUR).isoformat(), str(n % 3), float(n), "much")
            for n in range(ROWS)
        ]
        connection.executemany("insert into r values (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    return ef.Source("rides", query="select * from r", url="sqlite:///rides.db", timestamp="at")


def _model(source: ef.Source) -> ef.Model:
    city = ef.Entity("city", dtype=pl.String)
    view = ef.FeatureView("last", entities=[city], source=source, timestamp="ended", features=["minutes"], ttl="10h")
    return ef.Model(
        "long",
        task="regression",
        events=ef.Events(source, id="id"),
        request=["city"],
        features=[view, "city"],
        label=ef.Label("minutes", known_at="ended"),
    )


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is sent to databases."""
    seen: list[str] = []
    sa.event.listen(sa.Engine, "before_cursor_execute", note := lambda c, cursor, text, *_: seen.append(text))
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _execute(folder: Path, text: str) -> None:
    with sqlite3.connect(folder / "rides.db") as connection:
        connection.execute(text)
    connection.close()


def test_a_frame_reads_its_columns_and_its_time(source: ef.Source, tmp_path: Path) -> None:
    with statements() as seen:
        frame = build_frame(_model(source), Reader(tmp_path, {}), as_of=END, start=END - 20 * HOUR)
    assert frame.manifest.rows == 20
    reads = [text for text in seen if text.startswith("SELECT") and "LIMIT" not in text]
    assert reads
    assert not any("unused" in text for text in reads)
    assert all("julianday" in text for text in reads), "each has a range"


def test_the_version_of_a_query_is_that_of_what_was_read(source: ef.Source, tmp_path: Path) -> None:
    def version() -> str:
        frame = build_frame(_model(source), Reader(tmp_path, {}), as_of=END, start=END - 20 * HOUR)
        return frame.manifest.sources[0].version

    before = version()
    _execute(tmp_path, "update r set unused = 'more', city = 'old' where id < 300")
    _execute(tmp_path, "update r set unused = 'more'")
    assert version() == before
    _execute(tmp_path, f"update r set minutes = 0 where id = {ROWS - 5}")
    assert version() != before


def test_new_labels_are_read_without_old_ones_and_other_columns(source: ef.Source, tmp_path: Path) -> None:
    with statements() as seen:
        labels = scan_labels(_model(source), Reader(tmp_path, {}), until=END, since=END - 9 * HOUR)
        assert labels.collect().height == 10
    reads = [text for text in seen if text.startswith("SELECT") and "LIMIT" not in text]
    assert reads
    assert not any("unused" in text for text in reads)
    assert all("julianday(ended)" in text for text in reads)


def test_new_labels_are_read_where_rows_arrive_late(source: ef.Source, tmp_path: Path) -> None:
    """A label is new if its own time, its row's or its column's is."""
    _execute(tmp_path, "alter table r add column made text")
    _execute(tmp_path, "alter table r add column told text")
    _execute(tmp_path, "update r set made = ended, told = ended")
    late = (END - HOUR).isoformat()
    _execute(tmp_path, f"update r set made = '{late}' where id in (3, 5)")
    _execute(tmp_path, f"update r set told = '{late}' where id in (5, 7)")
    _execute(tmp_path, f"update r set told = null where id = {ROWS - 2}")
    _execute(tmp_path, f"update r set made = null where id = {ROWS - 3}")
    changed = replace(source, created="made", known_at={"minutes": "told"})
    since = END - 9 * HOUR
    for late_source in (changed, replace(changed, query=None, url=None, function=lambda: _table(tmp_path))):
        model = _model(late_source)
        with statements() as seen:
            labels = scan_labels(model, Reader(tmp_path, {}), until=END, since=since).collect().sort("id")
        whole = scan_labels(model, Reader(tmp_path, {}), until=END).filter(pl.col("known_at") >= since)
        assert labels.equals(whole.collect().sort("id"))
        assert {"3", "5", "7"} < set(labels["id"])
        assert labels.height > 9
        reads = [text for text in seen if text.startswith("SELECT") and "LIMIT" not in text]
        # A function that takes no range reads its table whole, here once.
        assert [("julianday" in text) for text in reads] == ([True] * 3 if late_source is changed else [False])


def _table(folder: Path) -> pl.DataFrame:
    rows = Reader(folder, {}).scan(
        ef.Source(
            "r",
            query="select * from r",
            url="sqlite:///rides.db",
            timestamp="at",
            created="made",
            known_at={"minutes": "told", "unused": "ended"},
        )
    )
    return rows.collect()


def test_freshness_asks_for_the_newest_row(source: ef.Source, tmp_path: Path) -> None:
    _execute(tmp_path, f"update r set minutes = 9e999 where id = {ROWS - 3}")
    view = _model(source).views[0]
    with statements() as seen:
        (found,) = measure_freshness([view], Reader(tmp_path, {}), at=END)
        (later,) = measure_freshness([view], Reader(tmp_path, {}), at=END + 1_000 * HOUR)
    assert (found.age, found.rows, found.infinite) == (timedelta(0), 2, {})
    assert (later.age, later.rows) == (1_000 * HOUR, 2)
    assert any("max(" in text for text in seen)
    assert all("julianday" in text or "LIMIT" in text or "VIEW" in text or "PRAGMA" in text for text in seen)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_newest_labelled_events_are_found_step_by_step(tmp_path: Path, data: st.DataObject) -> None:
    """As many labels as are wanted may lie far back, or nowhere."""
    hours = sorted(data.draw(st.lists(st.integers(0, 2_000), min_size=1, max_size=30)))
    labels = data.draw(st.lists(st.none() | st.just(1.0), min_size=len(hours), max_size=len(hours)))
    at = pl.Series([START + hour * HOUR for hour in hours], dtype=pl.Datetime("us", "UTC"))
    minutes = pl.Series(labels, dtype=pl.Float64)
    frame = pl.DataFrame({"id": range(len(hours)), "at": at, "ended": at + HOUR, "city": "a", "minutes": minutes})
    rows, as_of = data.draw(st.integers(1, 8)), START + data.draw(st.integers(0, 2_100)) * HOUR
    model = _model(ef.Source("rides", function=lambda: frame, timestamp="at"))
    labelled = frame.filter(pl.col("ended") <= as_of, pl.col("minutes").is_not_null())["at"].sort()
    newest = labelled.tail(rows).to_list()
    expected = None
    if newest:
        expected = EventWindow(newest[0], newest[-1] + timedelta(microseconds=1), len(labelled) <= rows)
    assert newest_window(model, Reader(tmp_path, {}), rows=rows, as_of=as_of) == expected
