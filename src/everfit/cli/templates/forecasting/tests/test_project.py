"""What must hold before this project is released. Run with ``pytest`` in the project's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef

FOLDER = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(FOLDER)


def days(sold: list[int]) -> pl.LazyFrame:
    """A shop's days in a row, from the first of May on."""
    closes_at = [datetime(2026, 5, 1, 18, tzinfo=UTC) + timedelta(days=day) for day in range(len(sold))]
    return pl.LazyFrame({"shop": "north", "closes_at": closes_at, "sold": sold})


def test_the_outcome_is_not_a_request_field(project):
    assert not {"sold", "closes_at"} & set(project.model("demand").request)


def test_recent_sales_are_those_of_the_days_before(project):
    rows = project.view("recent_sales").transform(days([10, 20, 30])).collect().sort("closes_at")
    assert rows["last_day"].to_list() == [10, 20, 30]
    assert rows["mean_7d"].to_list() == [10, 15, 20]


def test_a_week_is_forgotten_after_a_week(project):
    rows = project.view("recent_sales").transform(days([100, *[10] * 7])).collect().sort("closes_at")
    assert rows["mean_7d"][-1] == 10


def test_no_day_sells_less_than_nothing():
    assert (pl.read_csv(FOLDER / "data" / "sales.csv")["sold"] >= 0).all()
