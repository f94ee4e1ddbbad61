"""What must hold before this project is released. Run with ``pytest`` in the project's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef

FOLDER = Path(__file__).parents[1]
MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(FOLDER)


def finished(minutes: list[int | None]) -> pl.LazyFrame:
    """A workshop's repairs, finished one a day from the first of May on; under way where the time is not known."""
    finished_at = [None if took is None else MAY + timedelta(days=day) for day, took in enumerate(minutes)]
    return pl.LazyFrame({"workshop": "east", "finished_at": finished_at, "minutes": minutes})


def test_the_outcome_is_not_a_request_field(project):
    assert not {"minutes", "finished_at"} & set(project.model("duration").request)


def test_repairs_under_way_are_not_counted(project):
    rows = project.view("recent_repairs").transform(finished([10, 30, None])).collect().sort("finished_at")
    assert rows["repairs_14d"].to_list() == [1, 2]
    assert rows["mean_14d"].to_list() == [10, 20]


def test_every_repair_takes_time():
    repairs = pl.read_csv(FOLDER / "data" / "repairs.csv")
    assert (repairs["minutes"].drop_nulls() > 0).all()
