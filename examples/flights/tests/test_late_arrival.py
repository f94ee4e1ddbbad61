"""What must hold before this project is released; needs no data. Run with ``pytest`` in the project's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef

NOON = datetime(2013, 5, 1, 12, tzinfo=UTC)
KNOWN_AFTERWARDS = {"dep_ts", "dep_delay", "air_time", "arr_delay", "cancelled", "diverted", "label_ts"}


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(Path(__file__).parents[1])


def flights(*, due: list[datetime], delay: list[int]) -> pl.LazyFrame:
    frame = pl.DataFrame({"origin": "JFK", "sched_dep_ts": due, "dep_delay": delay})
    return frame.with_columns(dep_ts=pl.col("sched_dep_ts") + pl.duration(minutes=pl.col("dep_delay"))).lazy()


def test_nothing_known_afterwards_is_asked_for(project):
    assert not KNOWN_AFTERWARDS & set(project.model("late_arrival").request)


@pytest.mark.parametrize("delay", [-20, 0, 30])
def test_a_flight_counts_only_after_it_left_and_was_due(project, delay):
    row = project.view("departures").transform(flights(due=[NOON], delay=[delay])).collect()
    assert row["dep_ts"].item() == NOON + timedelta(minutes=max(delay, 0) + 1)


def test_departures_of_two_hours_are_averaged(project):
    due = [NOON - timedelta(hours=3), NOON - timedelta(hours=1), NOON]
    newest = project.view("departures").transform(flights(due=due, delay=[30, 20, 0])).collect().sort("dep_ts")[-1]
    assert newest["delay_mean"].item() == 10
    assert newest["late_share"].item() == 0.5
    assert newest["count"].item() == 2
