"""Every kind of source is read by columns and ranges, and gives what reading all of it would."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfit.definitions.source import Source
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange

INSTANT = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    {"id": pl.Int64(), "at": INSTANT, "day": pl.Date(), "known": INSTANT, "text": pl.String(), "x": pl.Float64()}
)
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
_FIRST, _LAST = datetime(2023, 12, 30), datetime(2024, 1, 3)  # noqa: DTZ001
_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati"])
_PLACES = count()


def _instants() -> st.SearchStrategy[datetime]:
    near = st.datetimes(_FIRST, _LAST, timezones=_ZONES.map(ZoneInfo))
    whole = near.map(lambda instant: instant.replace(microsecond=0, second=0, minute=0))
    return st.one_of(near, whole, whole.map(lambda instant: instant.astimezone(UTC).replace(hour=0)))


@st.composite
def _rows(draw: st.DrawFn) -> pl.DataFrame:
    row = st.tuples(
        st.none() | _instants(),
        st.none() | st.dates(_FIRST.date(), _LAST.date()),
        st.none() | _instants(),
        st.none() | st.sampled_from(["", "a", "é", "2024"]),
        st.none() | st.sampled_from([0.0, -1.5, float("inf"), 3.0]),
    )
    drawn = [(number, *values) for number, values in enumerate(draw(st.lists(row, max_size=8)))]
    return pl.DataFrame(drawn, schema=SCHEMA, orient="row")


class Made(NamedTuple):
    """A source, and its rows as they are stored."""

    source: Source
    rows: pl.DataFrame


def _source(**given: Any) -> Source:
    return Source("rows", timestamp="at", **given)


def _parquet(rows: pl.DataFrame, folder: Path, _: str) -> Made:
    """Two files of different units and zones."""
    rows.head(3).with_columns(pl.col("at").dt.cast_time_unit("ns")).write_parquet(folder / "1.parquet")
    zoned = rows.slice(3).with_columns(pl.col("at").dt.convert_time_zone("America/New_York"))
    zoned.write_parquet(folder / "2.parquet")
    return Made(_source(path=f"{folder}/*.parquet"), rows)


def _csv(rows: pl.DataFrame, folder: Path, _: str) -> Made:
    """CSV knows no empty text, and no type of a column without a value."""
    whole = pl.DataFrame([(99, NOON, NOON.date(), NOON, "b", 0.5)], schema=SCHEMA, orient="row")
    rows = pl.concat(
        [rows.with_columns(pl.col("text").replace({"": None, "2024": "b"}), pl.lit(0.5).alias("x")), whole]
    )
    rows.write_csv(folder / "rows.csv", datetime_format="%+")
    return Made(_source(path=f"{folder}/rows.csv"), rows)


def _delta(rows: pl.DataFrame, folder: Path, _: str) -> Made:
    rows.head(3).write_delta(str(folder / "table"))
    rows.slice(3).write_delta(str(folder / "table"), mode="append")
    return Made(_source(path=f"{folder}/table"), rows)


def _iso_text(instant: datetime | None, number: int) -> str | None:
    if instant is None:
        return None
    zone = ["UTC", "Asia/Kathmandu", "America/New_York"][number % 3]
    found = instant.astimezone(ZoneInfo(zone)).isoformat(sep="T" if number % 2 else " ")
    return found.replace("+00:00", "Z") if number % 4 else found


def _sqlite(rows: pl.DataFrame, folder: Path, _: str) -> Made:
    """Instants as text of mixed zones and forms; SQLite has no dates."""
    with sqlite3.connect(folder / "rows.db") as connection:
        connection.execute("create table r (id integer primary key, at text, day text, known text, text text, x real)")
        connection.execute("create index r_at on r (at)")
        stored = [
            (number, _iso_text(at, number), day and str(day), _iso_text(known, number + 1), *others)
            for number, at, day, known, *others in rows.iter_rows()
        ]
        connection.executemany("insert into r values (?, ?, ?, ?, ?, ?)", stored)
    connection.close()
    return Made(
        _source(query="select * from r;", url=f"sqlite:///{folder}/rows.db", created="known"),
        rows.with_columns(pl.col("day").cast(pl.String)),
    )


def _postgres(rows: pl.DataFrame, _: Path, url: str) -> Made:
    table = f"r{next(_PLACES)}"
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"create table {table} (id int, at timestamptz, day date, known timestamptz, text varchar(9), x real)"
            )
        )
        for row in rows.iter_rows():
            names = ", ".join(f":{name}" for name in SCHEMA)
            connection.execute(sa.text(f"insert into {table} values ({names})"), dict(zip(SCHEMA, row, strict=True)))
    return Made(_source(query=f"select * from {table} -- all", url=url), rows)


def _function(rows: pl.DataFrame, _: Path, __: str) -> Made:
    return Made(_source(function=lambda: rows), rows)


def _ranged_function(rows: pl.DataFrame, _: Path, __: str) -> Made:
    def read(start: datetime | None, end: datetime | None, columns: list[str] | None) -> pl.LazyFrame:
        found = rows.lazy().select(columns or pl.all())
        found = found if start is None else found.filter(pl.col("at") >= start)
        return found if end is None else found.filter(pl.col("at") < end)

    return Made(_source(function=read), rows)


KINDS = [_parquet, _csv, _delta, _sqlite, _function, _ranged_function]
Make = Callable[[pl.DataFrame, Path, str], Made]


def _check(make: Make, folder: Path, url: str, data: st.DataObject) -> None:
    rows = data.draw(_rows())
    place = folder / str(next(_PLACES))
    place.mkdir()
    made = make(rows, place, url)
    by = data.draw(st.sampled_from([name for name in ("at", "day", "known") if made.rows.schema[name] != pl.String]))
    start, end = (data.draw(st.none() | _instants().map(lambda instant: instant.astimezone(UTC))) for _ in range(2))
    within = TimeRange(start, end, with_nulls=data.draw(st.booleans()))
    columns = data.draw(st.lists(st.sampled_from(list(SCHEMA)), min_size=1, unique=True))
    reader = Reader(folder, {})
    whole = reader.scan(made.source).collect()
    finite = made.rows.with_columns(pl.when(pl.col("x").is_finite()).then("x"))
    assert whole.schema == finite.schema
    assert whole.sort("id").equals(finite.sort("id"))

    time = pl.col(by).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") if by == "day" else pl.col(by)
    inside = pl.lit(value=True) if start is None else time >= pl.lit(start, INSTANT)
    inside &= pl.lit(value=True) if end is None else time < pl.lit(end, INSTANT)
    inside &= time.is_not_null()
    expected = whole.filter(inside | time.is_null() if within.with_nulls else inside).select(columns)
    read = reader.scan(made.source, columns=columns, within=within, by=by)
    assert read.collect_schema() == expected.schema
    assert read.collect().sort(columns).equals(expected.sort(columns))
    assert read.select(pl.len()).collect().item() == expected.height
    assert read.head(2).collect().height == min(2, expected.height)

    newest = whole.filter(time.is_not_null(), pl.lit(value=True) if end is None else time < pl.lit(end, INSTANT))
    assert reader.newest(made.source, column=by, before=end) == newest.select(time.max()).item()


EXAMPLES = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("make", KINDS)
@EXAMPLES
@given(data=st.data())
def test_columns_and_ranges_of_any_kind_are_those_of_all_rows(make: Make, tmp_path: Path, data: st.DataObject) -> None:
    _check(make, tmp_path, "", data)


@EXAMPLES
@given(data=st.data())
def test_columns_and_ranges_of_postgresql_are_those_of_all_rows(
    tmp_path: Path, postgres: str, data: st.DataObject
) -> None:
    _check(_postgres, tmp_path, postgres, data)
