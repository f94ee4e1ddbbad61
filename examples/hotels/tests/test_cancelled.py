"""What must hold before this project is released; needs no data. Run with ``pytest`` in the project's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef

DAY = datetime(2016, 5, 1, tzinfo=UTC)
KNOWN_AFTERWARDS = {
    "assigned_room_type",
    "reservation_status",
    "booking_changes",
    "days_in_waiting_list",
    "required_car_parking_spaces",
    "is_canceled",
    "label_ts",
}


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(Path(__file__).parents[1])


def ends(*, booked: list[datetime], known: list[datetime], cancelled: list[int]) -> pl.LazyFrame:
    return pl.LazyFrame({"market_segment": "Direct", "booking_ts": booked, "label_ts": known, "is_canceled": cancelled})


def test_nothing_known_afterwards_is_asked_for(project):
    model = project.model("cancelled")
    assert not KNOWN_AFTERWARDS & set(model.request)


def test_a_booking_that_ends_on_its_first_day_counts_from_the_next(project):
    made = ends(booked=[DAY], known=[DAY], cancelled=[1])
    row = project.view("segment_record").transform(made).collect()
    assert row["label_ts"].item() == DAY + timedelta(days=1)


def test_ends_of_sixty_days_are_counted(project):
    known = [DAY, DAY + timedelta(days=30), DAY + timedelta(days=60)]
    made = ends(booked=[DAY - timedelta(days=9)] * 3, known=known, cancelled=[1, 1, 0])
    newest = project.view("segment_record").transform(made).collect().sort("label_ts")[-1]
    assert newest["count"].item() == 2
    assert newest["cancelled_share"].item() == 0.5
