"""A database is asked for what is needed: by its own statistics, without writing, for a limited time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from everfit.core.errors import SourceError
from everfit.definitions.source import Source
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange

INSTANT = pl.Datetime("us", "UTC")
ROWS = 20_000
START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(seconds=ROWS)
_TABLES = count()


@pytest.fixture
def engine(postgres: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres, poolclass=sa.pool.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def events(engine: sa.Engine, postgres: str) -> Source:
    """One row a second; the time has an index."""
    table = f"events_{next(_TABLES)}"
    with engine.begin() as connection:
        made = f"select i as id, timestamptz '{START}' + i * interval '1 second' as at, random() as x"
        connection.execute(sa.text(f"create table {table} as {made} from generate_series(0, {ROWS - 1}) i"))
        connection.execute(sa.text(f"create index on {table} (at)"))
        connection.execute(sa.text(f"analyze {table}"))
    url = f"{postgres}&application_name={table}"
    return Source(table, query=f"select * from {table}", url=url, timestamp="at")


def _sessions(engine: sa.Engine, source: Source, *, at_most: int) -> int:
    """Count the sessions that read a source, once there are not more than some: they end in the background."""
    text = sa.text("select count(*) from pg_stat_activity where application_name = :name")
    until = time.monotonic() + 10.0
    while True:
        with engine.connect() as connection:
            found = int(connection.execute(text, {"name": source.name}).scalar_one())
        if found <= at_most or time.monotonic() > until:
            return found
        time.sleep(0.01)


def _rows_read(engine: sa.Engine, source: Source) -> int:
    """The rows that the server has read from a table, by its statistics."""
    assert _sessions(engine, source, at_most=0) == 0, "a session reports what it read when it ends"
    with engine.connect() as connection:
        text = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = :name"
        return int(connection.execute(sa.text(text), {"name": source.name}).scalar_one())


def test_a_new_range_is_read_without_the_rest_of_the_table(events: Source, engine: sa.Engine, tmp_path: Path) -> None:
    before = _rows_read(engine, events)
    reader = Reader(tmp_path, {})
    newest = reader.newest(events)
    assert newest == END - timedelta(seconds=1)
    within = TimeRange(newest - timedelta(seconds=99), newest + timedelta(seconds=1))
    assert reader.scan(events, columns=["id"], within=within).collect()["id"].to_list() == [*range(ROWS - 100, ROWS)]
    del reader
    read = _rows_read(engine, events) - before
    assert 100 <= read <= 110

    reader = Reader(tmp_path, {})
    assert reader.scan(events).select(pl.len()).collect().item() == ROWS
    del reader
    assert _rows_read(engine, events) - before >= ROWS, "the statistics must show a whole read"


def test_one_connection_is_kept_for_a_database(events: Source, engine: sa.Engine, tmp_path: Path) -> None:
    reader = Reader(tmp_path, {})
    with ThreadPoolExecutor(3) as pool:
        scans = [reader.scan(events, columns=["id"]) for _ in range(6)]
        heights = list(pool.map(lambda rows: rows.select(pl.len()).collect().item(), scans))
    joined = reader.scan(events).join(reader.frozen([]).scan(events), on="id").collect(engine="streaming")
    assert [*heights, joined.height] == [ROWS] * 7
    assert _sessions(engine, events, at_most=1) == 1
    del reader, scans
    assert _sessions(engine, events, at_most=0) == 0


def test_a_query_cannot_write(events: Source, engine: sa.Engine, postgres: str, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "create or replace function note() returns timestamptz language sql as $$ "
                f"delete from {events.name}; select now() $$"
            )
        )
    source = Source("s", query="select note() as at", url=postgres, timestamp="at")
    with pytest.raises(SourceError, match="read-only transaction"):
        Reader(tmp_path, {}).scan(source).collect()


def test_a_statement_that_takes_too_long_is_ended(postgres: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select '2024-01-01T00:00:00Z' as at from n where i < 0"
    )
    slow = [
        Source("s", query="select now() as at, pg_sleep(60)::text as x", url=postgres, timestamp="at"),
        Source("s", query=endless, url="sqlite:///a.db", timestamp="at"),
    ]
    for source in slow:
        with pytest.raises(SourceError, match=r"must end within 0.2 s") as caught:
            Reader(tmp_path, {}, statement_s=0.2).scan(source).collect()
        assert "statement_seconds" in str(caught.value)
        assert "source s" in str(caught.value)


def test_types_of_postgresql_do_not_depend_on_rows(engine: sa.Engine, postgres: str, tmp_path: Path) -> None:
    types = {
        "boolean": pl.Boolean,
        "smallint": pl.Int64,
        "bigint": pl.Int64,
        "real": pl.Float64,
        "numeric(9, 2)": pl.Float64,
        "text": pl.String,
        "char(3)": pl.String,
        "uuid": pl.String,
        "jsonb": pl.String,
        "inet": pl.String,
        "bytea": pl.Binary,
        "date": pl.Date,
        "time": pl.Time,
        "timestamp": pl.Datetime("us"),
        "timestamptz": INSTANT,
        "interval": pl.Duration("us"),
        "integer[]": pl.List(pl.Int64),
        "text[]": pl.List(pl.String),
    }
    values = [
        "true", "1", "2", "1.5", "2.25", "'a'", "'abc'", "'12345678-1234-5678-1234-567812345678'", "'{}'",
        "'10.0.0.1'", "'a'", "'2024-01-01'", "'12:00'", "'2024-01-01'", "'2024-01-01Z'", "'1 hour'", "'{1,2}'", "'{a}'",
    ]  # fmt: skip
    nulls = ", ".join(f"null::{kind} as c{place}" for place, kind in enumerate(types))
    filled = ", ".join(f"{value}::{kind}" for value, kind in zip(values, types, strict=True))
    query = f"select now() as at, {nulls} union all select now(), {filled}"
    for text in (f"select * from ({query}) q limit 0", query):
        rows = Reader(tmp_path, {}).scan(Source("s", query=text, url=postgres, timestamp="at")).collect()
        assert list(rows.schema.values()) == [INSTANT, *types.values()]
    assert rows["c4"].to_list() == [None, 2.25]
    assert rows["c8"].to_list() == [None, "{}"]
    assert rows["c14"].to_list() == [None, datetime(2024, 1, 1, tzinfo=UTC)]
    assert rows["c16"].to_list() == [None, [1, 2]]


def _database(folder: Path, columns: str, *rows: tuple[object, ...]) -> Source:
    with sqlite3.connect(folder / "r.db") as connection:
        connection.execute(f"create table r (at text, {columns})")
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into r values ('2024-01-01T00:00:00Z', {marks})", rows)
    connection.close()
    return Source("s", query="select * from r", url="sqlite:///r.db", timestamp="at")


def test_types_of_sqlite_are_those_of_the_table(tmp_path: Path) -> None:
    columns = "i integer, f float, n decimal(5, 2), t varchar(9), b blob, flag boolean, day date"
    rows = [(None,) * 7] * 1_500 + [(1, 2.0, 3, "a", b"b", 1, "2024-01-01")]
    source = _database(tmp_path, columns, *rows)
    schema = {"at": INSTANT, "i": pl.Int64, "f": pl.Float64, "n": pl.Float64, "t": pl.String, "b": pl.Binary}
    schema |= {"flag": pl.Int64, "day": pl.String}
    reader = Reader(tmp_path, {})
    assert reader.scan(source).collect().schema == schema
    assert reader.scan(source).tail(1).collect().row(0)[1:] == (1, 2.0, 3.0, "a", b"b", 1, "2024-01-01")
    (tmp_path / "r.db").unlink()
    source = _database(tmp_path, columns)
    assert reader.scan(source).collect().schema == schema, "an empty table has the types of a full one"


def test_a_column_gets_its_type_with_its_first_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _database(tmp_path, "seen text", (None,))
    reader = Reader(tmp_path, {})
    assert reader.scan(source).collect_schema()["seen"] == pl.String
    with sqlite3.connect(tmp_path / "r.db") as connection:
        connection.execute("update r set seen = '2024-01-01T00:00:00Z'")
    connection.close()
    monkeypatch.setattr("everfit.store.sql_reader._ASK_AGAIN_S", 0.0)
    assert Reader(tmp_path, {}).scan(source).collect_schema()["seen"] == INSTANT


@pytest.mark.parametrize(
    ("declared", "usual", "odd", "said"),
    [
        ("integer", 1, 2.5, "2.5. Cast it in the query"),
        ("integer", 1, "many", "'many'. Cast it in the query"),
        ("text", "2024-01-01T00:00:00Z", "soon", "instants as ISO 8601 with a zone in every row, but got 'soon'"),
    ],
)
def test_a_value_of_another_type_is_named(declared: str, usual: object, odd: object, said: str, tmp_path: Path) -> None:
    source = _database(tmp_path, f"x {declared}", *[(usual,)] * 1_500, (odd,))
    with pytest.raises(SourceError) as caught:
        Reader(tmp_path, {}).scan(source).collect()
    assert said in str(caught.value)
    assert "source s: the column x" in str(caught.value)


def test_columns_of_one_name_are_refused(postgres: str, tmp_path: Path) -> None:
    source = Source("s", query="select now() as at, 1 as x, 2 as x", url=postgres, timestamp="at")
    with pytest.raises(SourceError, match=r"source s: the columns of a query must have different names, but got 'x'"):
        Reader(tmp_path, {}).scan(source)


def test_a_range_of_sqlite_uses_the_index(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "r.db") as connection:
        connection.execute("create table r (id integer primary key, at text)")
        connection.execute("create index r_at on r (at)")
        hours = [(str(START + timedelta(hours=number)),) for number in range(ROWS)]
        connection.executemany("insert into r (at) values (?)", hours)
    connection.close()
    source = Source("s", query="select * from r", url="sqlite:///r.db", timestamp="at")
    reader, end = Reader(tmp_path, {}), START + timedelta(hours=ROWS)
    seen: list[str] = []
    sa.event.listen(sa.Engine, "before_cursor_execute", note := lambda c, cursor, text, *_: seen.append(text))
    try:
        assert reader.newest(source) == end - timedelta(hours=1)
        within = TimeRange(end - timedelta(hours=9), end)
        assert reader.scan(source, columns=["id"], within=within).collect().height == 9
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    with sqlite3.connect(tmp_path / "r.db") as connection:
        ranged = [text for text in seen if "WHERE" in text and "everfit_source" not in text]
        plans = [
            connection.execute(f"explain query plan {text}", ["2026"] * text.count("?")).fetchall() for text in ranged
        ]
    connection.close()
    assert len(plans) >= 2
    assert all("SEARCH r USING" in plan[0][3] for plan in plans)


def test_a_function_is_given_what_is_needed() -> None:
    calls: list[dict[str, object]] = []
    rows = pl.DataFrame({"at": [START], "seen": [START], "x": [1.0]})

    def read(*, start: datetime | None, end: datetime | None, columns: list[str] | None) -> pl.DataFrame:
        calls.append({"start": start, "end": end, "columns": columns})
        return rows

    reader, source = Reader(Path(), {}), Source("s", function=read, timestamp="at", created="seen")
    reader.scan(source).collect()
    reader.scan(source, columns=["x"], within=TimeRange(START, END)).collect()
    reader.scan(source, within=TimeRange(START, END), by="seen").collect()
    reader.newest(source, before=END)
    needed = ["at", "seen"]
    assert calls == [
        {"start": None, "end": None, "columns": None},
        {"start": START, "end": END, "columns": ["x", *needed]},
        {"start": None, "end": None, "columns": None},
        {"start": None, "end": END, "columns": needed},
    ]


def test_time_columns_without_an_index_are_named(events: Source, engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"alter table {events.name} add seen timestamptz, add day date"))
        connection.execute(sa.text(f"create index on {events.name} (day)"))
    reader = Reader(tmp_path, {})
    assert reader.without_index(events, {"at", "seen", "day"}) == ("seen",)
    # Renamed, joined and filtered: the planner still finds the index.
    text = f"select a.at as t, b.seen from {events.name} a join {events.name} b using (id) where a.x > 0.5"
    joined = Source("s", query=text, url=events.url, timestamp="t")
    assert reader.without_index(joined, {"t", "seen"}) == ("seen",)

    plain = _database(tmp_path, "seen text")
    with sqlite3.connect(tmp_path / "r.db") as database:
        database.execute("create index r_seen on r (seen)")
    database.close()
    assert reader.without_index(plain, {"at", "seen"}) == ("at",)
    renamed = Source("s", query='select seen as "the time", at from r', url=plain.url, timestamp="at")
    assert reader.without_index(renamed, {"the time"}) == ()
    assert reader.without_index(Source("s", function=pl.DataFrame, timestamp="at"), {"at"}) == ()
