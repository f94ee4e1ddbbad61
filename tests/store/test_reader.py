"""Every kind of source gives the same rows, and every mistake in one is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from everfit.core.errors import SourceError, TimestampError
from everfit.definitions.source import Source
from everfit.store.digest import frame_digest
from everfit.store.reader import Reader

ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "at": [datetime(2024, 1, day, 12, 30, 0, 500_000, tzinfo=UTC) for day in (1, 2, 3)],
        "known": [datetime(2024, 1, 2, tzinfo=UTC), None, datetime(2024, 1, 4, tzinfo=UTC)],
        "text": ["a", "é", None],
        "x": [0.5, None, -1.0],
    }
)


def _parquet(folder: Path) -> Source:
    (folder / "part").mkdir()
    ROWS.head(1).write_parquet(folder / "part" / "1.parquet")
    ROWS.tail(2).write_parquet(folder / "part" / "2.parquet")
    return Source("rows", path="{data}/part/*.parquet", timestamp="at", created="known")


def _csv(folder: Path) -> Source:
    ROWS.write_csv(folder / "rows.csv", datetime_format="%+")
    return Source("rows", path="{data}/rows.csv", timestamp="at", created="known")


def _delta(folder: Path) -> Source:
    ROWS.write_delta(str(folder / "table"))
    return Source("rows", path="{data}/table", timestamp="at", created="known")


def _sql(folder: Path) -> Source:
    with sqlite3.connect(folder / "rows.db") as connection:
        connection.execute("create table r (id integer, at text, known text, text text, x real)")
        texts = ROWS.with_columns(pl.col("at", "known").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
        connection.executemany("insert into r values (?, ?, ?, ?, ?)", texts.rows())
    connection.close()
    return Source("rows", query="select * from r", url="sqlite:///{data}/rows.db", timestamp="at", created="known")


def _function(folder: Path) -> Source:
    return Source("rows", function=ROWS.lazy, timestamp="at", created="known")


KINDS = pytest.mark.parametrize("make", [_parquet, _csv, _delta, _sql, _function])


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / "data").mkdir()
    return Reader(tmp_path, {"data": "data"})


@KINDS
def test_every_kind_gives_the_same_rows(make: Callable[[Path], Source], reader: Reader, tmp_path: Path) -> None:
    rows = reader.scan(make(tmp_path / "data")).collect().sort("id")
    assert rows.schema == {**ROWS.schema, "at": pl.Datetime("us", "UTC"), "known": pl.Datetime("us", "UTC")}
    assert rows.equals(ROWS)


@KINDS
def test_the_version_is_stable_and_hides_nothing(
    make: Callable[[Path], Source], reader: Reader, tmp_path: Path
) -> None:
    source = make(tmp_path / "data")
    version = reader.version(source)
    assert reader.version(source) == version
    assert (version.name, version.kind) == ("rows", source.kind)
    assert version.version == "delta:0" if source.kind == "delta" else version.version.startswith("sha256:")
    if source.path is not None:
        assert version.location == source.path


def test_the_version_changes_with_the_content(reader: Reader, tmp_path: Path) -> None:
    parquet, delta, sql = (make(tmp_path / "data") for make in (_parquet, _delta, _sql))
    before = [reader.version(source).version for source in (parquet, delta, sql)]
    ROWS.with_columns(x=1.0).tail(2).write_parquet(tmp_path / "data" / "part" / "2.parquet")
    ROWS.head(1).write_delta(str(tmp_path / "data" / "table"), mode="append")
    with sqlite3.connect(tmp_path / "data" / "rows.db") as connection:
        connection.execute("update r set x = 2 where id = 3")
    connection.close()
    after = [reader.version(source).version for source in (parquet, delta, sql)]
    assert after[1] == "delta:1"
    assert all(new != old for new, old in zip(after, before, strict=True))
    assert reader.version(parquet).files == 2


def test_the_order_of_a_functions_rows_does_not_change_its_version(reader: Reader) -> None:
    first = Source("rows", function=lambda: ROWS, timestamp="at")
    second = Source("rows", function=ROWS.reverse, timestamp="at")
    assert reader.version(first).version == reader.version(second).version


def test_a_password_is_never_shown(reader: Reader) -> None:
    source = Source("rows", query="select 1", url="nosuchdatabase://me:secret@host/db", timestamp="at")
    with pytest.raises(SourceError) as caught:
        reader.scan(source)
    assert "secret" not in str(caught.value)
    assert "me:***@host" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source("s", path="{nowhere}/a.parquet", timestamp="at"), "EVERFIT_PATHS_NOWHERE"),
        (Source("s", path="{data}/none.parquet", timestamp="at"), "must be a file"),
        (Source("s", path="{data}/none/*.csv", timestamp="at"), "must be a file"),
        (Source("s", path="{data}/no_table", timestamp="at"), "must be a file to read"),
        (Source("s", query="select 1", url="sqlite:///none.db", timestamp="at"), "must be a file"),
        (Source("s", query="select 1", url="sqlite:////nowhere/none.db", timestamp="at"), "must be a file"),
        (Source("s", query="select * from r", url="sqlite:///:memory:", timestamp="at"), "no such table: r"),
        (Source("s", function=lambda: ROWS, timestamp="att"), "Did you mean 'at'"),
        (Source("s", function=lambda: ROWS, timestamp="at", created="knwon"), "Did you mean 'known'"),
        (Source("s", function=lambda: [1], timestamp="at"), "LazyFrame or DataFrame"),  # type: ignore[arg-type, return-value]
    ],
)
def test_a_source_that_cannot_be_read_says_why(source: Source, said: str, reader: Reader) -> None:
    with pytest.raises(SourceError) as caught:
        reader.scan(source)
    assert said in str(caught.value)
    assert "source s" in str(caught.value)


def test_a_broken_file_is_a_source_error(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "data" / "broken.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(SourceError, match="readable as Parquet"):
        reader.scan(Source("s", path="{data}/broken.parquet", timestamp="at"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([datetime(2024, 1, 1)], 'replace_time_zone("UTC")'),  # noqa: DTZ001
        (["yesterday"], "ISO 8601"),
        ([1_700_000_000], "from_epoch"),
    ],
)
def test_an_event_time_without_a_zone_is_refused(values: list[object], said: str, reader: Reader) -> None:
    source = Source("s", function=lambda: pl.DataFrame({"at": values}), timestamp="at")
    with pytest.raises(TimestampError) as caught:
        reader.scan(source)
    assert said in str(caught.value)


def test_other_zones_become_utc_and_dates_stay(reader: Reader) -> None:
    rows = pl.DataFrame({"at": [datetime(2024, 1, 1, tzinfo=UTC)], "day": [date(2024, 1, 1)]}).with_columns(
        pl.col("at").dt.convert_time_zone("America/New_York").dt.cast_time_unit("ns")
    )
    read = reader.scan(Source("s", function=lambda: rows, timestamp="at", created="day")).collect()
    assert read.schema == {"at": pl.Datetime("us", "UTC"), "day": pl.Date}
    assert read["at"].to_list() == [datetime(2024, 1, 1, tzinfo=UTC)]


def test_the_digest_sees_values_nulls_names_and_order() -> None:
    frames = [
        ROWS,
        ROWS.reverse(),
        ROWS.rename({"x": "y"}),
        ROWS.with_columns(pl.col("x").fill_null(0.0)),
        ROWS.with_columns(pl.col("text").fill_null("")),
        ROWS.with_columns(pl.col("id").cast(pl.Int32)),
        ROWS.head(2),
    ]
    assert len({frame_digest(frame) for frame in frames}) == len(frames)
    assert frame_digest(pl.concat([ROWS.head(1), ROWS.tail(2)], rechunk=False)) == frame_digest(ROWS)


def test_the_digest_is_the_same_on_every_machine() -> None:
    """Written down once: a change of it would make every recorded frame look changed."""
    assert frame_digest(ROWS) == "sha256:7e41638270c2cf20582c2d8a8a59ed9888ab4328ad4612391cd66fe8acc4aa93"


def test_a_function_is_called_once_while_reading_once(reader: Reader) -> None:
    calls: list[str] = []

    def rows() -> pl.DataFrame:
        calls.append("all")
        return ROWS

    def part(start: object, end: object) -> pl.DataFrame:
        calls.append("part")
        return ROWS

    def narrow(columns: list[str] | None) -> pl.DataFrame:
        calls.append("narrow")
        return ROWS if columns is None else ROWS.select(columns)

    whole, ranged, narrowed = (Source(f.__name__, function=f, timestamp="at") for f in (rows, part, narrow))
    with reader.reading_once():
        for source in (whole, ranged, narrowed):
            for columns in (["at"], ["at", "known"], ["at"]):
                assert reader.scan(source, columns=columns).collect().equals(ROWS.select(columns))
        assert sorted(calls) == ["all", *["narrow"] * 2, *["part"] * 3]
    reader.scan(whole).collect()
    with reader.reading_once():
        reader.scan(whole).collect()
    assert calls.count("all") == 3
