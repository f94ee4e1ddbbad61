"""A big source is checked on its newest rows, and the result names them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.design.records import design

import everfit as ef
from everfit.commands.validate import check
from everfit.core.records import DesignCheck

PROJECT = """
import polars as pl
import everfit as ef

rides = ef.Source("rides", timestamp="at", SOURCE)
city = ef.Entity("city", dtype=pl.String)
weather = ef.FeatureView("weather", entities=[city], source=rides, features=["x"], ttl="2d")

long = ef.Model(
    "long", task="regression", events=ef.Events(rides, id="id"WHERE), request=["city"],
    features=[weather, "city"], label=ef.Label("minutes", known_at="ended"),
)

@long.trainer()
def train(X, y):
    from sklearn.dummy import DummyRegressor
    return DummyRegressor().fit(X, y)
"""
START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = 2_000
AS_OF = START + timedelta(minutes=ROWS)


def rides(*, delay: timedelta = timedelta(minutes=20)) -> pl.DataFrame:
    """One ride a minute; the label is known after a delay."""
    at = pl.Series([START + timedelta(minutes=number) for number in range(ROWS)])
    numbers = pl.int_range(ROWS, eager=True)
    return pl.DataFrame(
        {"id": numbers, "at": at, "ended": at + delay, "city": numbers.cast(pl.String).str.tail(1)}
    ).with_columns(minutes=(numbers * 37 % 11).cast(pl.Float64), x=(numbers * 7 % 13).cast(pl.Float64))


def _write(rows: pl.DataFrame, folder: Path, kind: str) -> str:
    if kind == "parquet":
        rows.write_parquet(folder / "rides.parquet")
        return 'path="rides.parquet"'
    with sqlite3.connect(folder / "rides.db") as connection:
        connection.execute("create table rides (id integer, at text, ended text, city text, minutes real, x real)")
        texts = rows.with_columns(pl.col("at", "ended").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        connection.executemany("insert into rides values (?, ?, ?, ?, ?, ?)", texts.rows())
    connection.close()
    return 'query="select * from rides", url="sqlite:///rides.db"'


def checked(folder: Path, rows: pl.DataFrame, kind: str, *, where: str = "", sample_rows: int = 300) -> DesignCheck:
    (folder / "everfit.toml").write_text("")
    project = PROJECT.replace("SOURCE", _write(rows, folder, kind)).replace("WHERE", where)
    (folder / "project.py").write_text(project)
    (folder / "design.md").write_text(design().replace("late", "long"))
    return check(ef.open_system(folder), as_of=AS_OF, sample_rows=sample_rows)


def errors(found: DesignCheck) -> list[str]:
    problems = [problem for problem in found.problems if "design.md" not in problem.place]
    return [f"{problem.place}: {problem.rule} {problem.value}" for problem in problems if problem.severity == "error"]


KINDS = pytest.mark.parametrize("kind", ["parquet", "sqlite"])


@KINDS
def test_the_newest_rows_are_checked_and_named(tmp_path: Path, kind: str) -> None:
    found = checked(tmp_path, rides(), kind)
    assert not errors(found)
    (sentence,) = found.sampled
    newest = START + timedelta(minutes=ROWS - 301)
    assert sentence == f"source rides: its newest rows, from {newest:%Y-%m-%d %H:%M:%S} UTC on by at"


@KINDS
def test_a_small_source_is_checked_whole(tmp_path: Path, kind: str) -> None:
    assert not checked(tmp_path, rides(), kind, sample_rows=ROWS).sampled


@KINDS
def test_labels_that_come_late_are_found_further_back(tmp_path: Path, kind: str) -> None:
    """No label of the newest rows is known yet."""
    assert not errors(checked(tmp_path, rides(delay=timedelta(minutes=1_000)), kind))


@KINDS
@pytest.mark.parametrize("where", ["", ", where=pl.col('minutes') >= 0"])
def test_ids_are_unique_among_all_rows(tmp_path: Path, kind: str, where: str) -> None:
    rows = rides().with_columns(pl.when(pl.col("id") == 1_900).then(1_901).otherwise("id").alias("id"))
    (found,) = errors(checked(tmp_path, rows, kind, where=where))
    assert "the id id must be unique" in found
    assert "such as 1901" in found


def test_ids_are_grouped_by_the_database(tmp_path: Path) -> None:
    """Twice among old rows, which are not in the sample."""
    rows = rides().with_columns(pl.when(pl.col("id") < 2).then(7).otherwise("id").alias("id"))
    (found,) = errors(checked(tmp_path, rows, "sqlite"))
    assert "some rows share an id, or have none, such as 7" in found


def test_a_function_that_is_read_whole_should_be_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everfit.design.sources._SLOW_S", 0.0)
    path = str(tmp_path / "rides.parquet")
    rides().write_parquet(path)
    for parameters, is_slow in (("", True), (" start, end", False)):
        folder = tmp_path / f"slow_{is_slow}"
        folder.mkdir()
        function = f"function=lambda{parameters}: pl.scan_parquet({path!r})"
        (folder / "everfit.toml").write_text("")
        (folder / "project.py").write_text(PROJECT.replace("SOURCE", function).replace("WHERE", ""))
        (folder / "design.md").write_text(design())
        found = check(ef.open_system(folder), as_of=AS_OF)
        assert any("read whole at each use" in problem.rule for problem in found.problems) == is_slow
