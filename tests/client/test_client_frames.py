"""Frames as notebooks have them, given to the client as they are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.serving.orders import ROW, Shop
from tests.serving.process import Service, running

import everfit as ef
from everfit.core.errors import InvalidRequestError, TimestampError

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    ROW | {"ordered_at": NOON, "wanted_on": date(2026, 1, 6)},
    ROW | {"ordered_at": NOON, "wanted_on": date(2026, 1, 6), "weight kg": None, "kind": None},
    ROW | {"ordered_at": None, "wanted_on": None, "shop": None, "express": None},
]


def pandas_with_na() -> pd.DataFrame:
    return pd.DataFrame(ROWS).astype({"kind": "Int64", "weight kg": "Float64", "express": "boolean", "shop": "string"})


FRAMES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas nullable": pandas_with_na,
    "pandas categories": lambda: pd.DataFrame(ROWS).astype({"shop": "category"}),
    "Polars": lambda: pl.DataFrame(ROWS),
    "a generator": lambda: (row for row in ROWS),
    "rows of a frame": lambda: [pd.DataFrame(ROWS).iloc[number] for number in range(3)],
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_is_predicted_like_its_rows(service: Service, kind: str) -> None:
    with ef.Client(service.url) as client:
        expected = [each.value for each in client.predict("late", ROWS)]
        found = client.predict("late", FRAMES[kind](), ids=pd.Series([7, 8, 9]))
    assert [each.value for each in found] == expected
    assert [each.id for each in found] == ["7", "8", "9"]


def test_a_row_of_a_frame_is_one_row(service: Service) -> None:
    with ef.Client(service.url) as client:
        one = client.predict("late", pd.DataFrame(ROWS[:1]).iloc[0], id="mine")
    assert one.id == "mine"


@pytest.mark.parametrize(
    ("value", "missing"), [(pd.NaT, True), (pd.NA, True), (np.datetime64("NaT"), True), (pd.Timestamp(NOON), False)]
)
def test_missing_instants_and_those_of_pandas(service: Service, value: Any, missing: bool) -> None:
    with ef.Client(service.url) as client:
        meant = client.predict("late", ROWS[0] | {"ordered_at": None if missing else NOON}).value
        assert client.predict("late", ROWS[0] | {"ordered_at": value}).value == meant


def test_what_is_no_row_is_named(service: Service) -> None:
    with ef.Client(service.url) as client:
        for wrong in (pl.LazyFrame(ROWS), "shop-7", 7, ["shop-7"]):
            with pytest.raises(InvalidRequestError, match="must be"):
                client.predict("late", wrong)
        naive = pd.DataFrame(ROWS[:1]).assign(ordered_at=np.datetime64("2026-01-05T12:00:00.000000001"))
        with pytest.raises(TimestampError, match="tz_localize"):
            client.predict("late", naive)


def test_outcomes_and_pushed_rows_are_taken_from_frames(own: Shop) -> None:
    ratings = {"shop": ["shop-7"], "stars": [4.5], "chain": ["chain-1"], "event_time": [NOON]}
    with running(own.folder) as service, ef.Client(service.url) as client:
        answers = client.predict("late", pl.DataFrame(ROWS), ids=["a", "b", "c"])
        known = {"id": [each.id for each in answers], "value": [True, False, True], "known_at": [NOON, NOON, NOON]}
        assert client.outcomes("late", pd.DataFrame(known)) == 3
        assert client.outcomes("late", pl.DataFrame(known)) == 3
        assert (
            client.outcomes("late", pd.DataFrame({"id": ["a"], "value": [np.bool_(True)], "known_at": [pd.NaT]})) == 1
        )
        client.report("late", "a", bool(np.bool_(False)), pd.Timestamp(NOON))
        with pytest.raises(InvalidRequestError, match="dropna"):
            client.outcomes("late", pd.DataFrame({"id": ["a", "b"], "value": [1.0, float("nan")]}))
        assert client.push("rating", pd.DataFrame(ratings)).rows == 1
        assert client.push("rating", pl.DataFrame(ratings)).rows == 1
