"""Data frames of estimators: history and requests, one row and many, give the same values, dtypes and categories."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.artifact.model_frame import FrameBuilder, canonical_rows
from everfit.artifact.schema import Column, InputSchema
from everfit.core.errors import InvalidRequestError

COLUMNS = (
    Column(name="size", kind="number"),
    Column(name="covers", kind="integer"),
    Column(name="regular", kind="boolean"),
    Column(name="venue", kind="text"),
    Column(name="channel", kind="category", categories=("app", "web")),
    Column(name="hour", kind="category", categories=(3, 12)),
    Column(name="asked", kind="instant"),
    Column(name="day", kind="date"),
    Column(name="filled", kind="text", fill=""),
    Column(name="never", kind="category"),
)
TYPES: dict[str, Any] = {
    "size": pl.Float64,
    "covers": pl.Int32,
    "regular": pl.Boolean,
    "venue": pl.String,
    "channel": pl.String,
    "hour": pl.Int64,
    "asked": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "filled": pl.String,
    "never": pl.String,
}
INSTANTS = st.integers(-(10**15), 4 * 10**15).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
ROW = st.tuples(
    st.none() | st.floats(allow_nan=False),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.booleans(),
    st.none() | st.text(st.characters(codec="utf-8")),
    st.sampled_from([None, "app", "web", "fax"]),
    st.sampled_from([None, 3, 12, 99]),
    st.none() | INSTANTS,
    st.none() | st.dates(date(1700, 1, 1), date(2200, 1, 1)),
    st.sampled_from([None, "x"]),
    st.sampled_from([None, "x"]),
)
PANDAS = {
    "size": "float64",
    "covers": "float64",
    "regular": "float64",
    "venue": "str",
    "channel": "category",
    "hour": "category",
    "asked": "datetime64[us, UTC]",
    "day": "datetime64[us]",
    "filled": "str",
    "never": "category",
}


def schema_of(kind: Any) -> InputSchema:
    return InputSchema(
        model="m", task="binary", request=(), event_time="", lookups=(), computations=(), columns=COLUMNS, frame=kind
    )


@given(rows=st.lists(ROW, min_size=1, max_size=5))
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_requests_and_history_give_the_same_frame(kind: str, rows: list[tuple[Any, ...]]) -> None:
    schema = schema_of(kind)
    builder = FrameBuilder(schema)
    history = builder.from_polars(pl.DataFrame(rows, schema=TYPES, orient="row"))
    requests = builder.from_values(list(zip(*rows, strict=True)))
    assert list(history.columns) == list(schema.names)
    if kind == "polars":
        assert history.equals(requests, null_equal=True)
        assert history.schema == requests.schema == builder.one(rows[0]).schema
        assert history[0].equals(builder.one(rows[0]), null_equal=True)
        return
    import pandas as pd

    assert {name: str(dtype) for name, dtype in history.dtypes.items()} == PANDAS
    pd.testing.assert_frame_equal(history, requests, check_exact=True)
    pd.testing.assert_frame_equal(history.iloc[:1], builder.one(rows[0]), check_exact=True)


def test_an_empty_frame_and_one_that_lacks_everything_have_the_same_dtypes() -> None:
    for kind in ("pandas", "polars"):
        builder = FrameBuilder(schema_of(kind))
        nothing = builder.one([None] * len(COLUMNS))
        empty = builder.from_polars(pl.DataFrame(schema=TYPES))
        assert list(nothing.dtypes) == list(empty.dtypes)
        assert builder.lacking(nothing) == [column.name for column in COLUMNS if column.name != "filled"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, "7", "size: the column must hold a number, but got '7'"),
        (1, 1.5, "covers: the column must hold an integer, but got 1.5"),
        (3, 7, "venue: the column must hold text, but got 7"),
        (6, "2026-01-01", "asked: the column must hold an instant"),
        (7, "yesterday", "day: the column must hold a date"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(place: int, value: object, message: str) -> None:
    row: list[Any] = [None] * len(COLUMNS)
    row[place] = value
    with pytest.raises(InvalidRequestError, match=message):
        FrameBuilder(schema_of("pandas")).one(row)


def test_instants_and_dates_of_the_online_store_are_what_they_stand_for() -> None:
    builder = FrameBuilder(schema_of("polars"))
    moment = datetime(2026, 1, 27, 0, 30, 0, 5, tzinfo=UTC)
    row: list[Any] = [None] * len(COLUMNS)
    as_text = [*row[:6], moment.isoformat(), "2026-01-27", *row[8:]]
    as_values = [*row[:6], moment, date(2026, 1, 27), *row[8:]]
    assert builder.one(as_text).equals(builder.one(as_values))


def test_history_of_another_type_is_refused_by_name() -> None:
    rows = pl.DataFrame(schema=TYPES).with_columns(venue=pl.lit(1))
    with pytest.raises(InvalidRequestError, match="venue: the column must hold text, but got 'Int32'"):
        canonical_rows(schema_of("pandas"), rows)
