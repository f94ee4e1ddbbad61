"""Incremental equals full, a killed run equals an uninterrupted one, and online equals the point-in-time join."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import everfit as ef
from everfit.core.errors import TimestampError
from everfit.features.compute import view_rows
from everfit.features.join import ViewRows, point_in_time_join
from everfit.features.materialize import materialize
from everfit.store.reader import Reader
from everfit.store.sqlite_online import OnlineStore

START = datetime(2024, 1, 1, tzinfo=UTC)
SHOP = ef.Entity("shop", dtype=pl.Int64)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),  # shop
        st.integers(0, 30),  # event hour
        st.integers(0, 20),  # hours until it is known
        st.one_of(st.none(), st.integers(0, 5)),  # value
    ),
    max_size=60,
)


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def frame(rows: Sequence[tuple[int, int, int, int | None]]) -> pl.DataFrame:
    instant = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        [(shop, hour(at), hour(at + delay), value) for shop, at, delay, value in rows],
        schema={"shop": pl.Int64, "at": instant, "known": instant, "value": pl.Int64},
        orient="row",
    )


def plain(rows: pl.DataFrame, *, created: str | None) -> ef.FeatureView:
    source = ef.Source("rows", function=lambda: rows, timestamp="at", created=created)
    return ef.FeatureView("plain", entities=[SHOP], source=source, features=["value"], ttl="6h")


def rolling(rows: pl.DataFrame, *, created: str | None) -> ef.FeatureView:
    source = ef.Source("rows", function=lambda: rows, timestamp="at", created=created)

    @ef.feature_view(entities=[SHOP], source=source, ttl="6h", lookback="5h")
    def total(rows: pl.LazyFrame) -> pl.LazyFrame:
        window = pl.col("value").fill_null(0).rolling_sum_by("at", "5h", closed="both")
        summed = rows.sort("shop", "at").select("shop", "at", total=window.over("shop"))
        return summed.unique()

    return total


VIEWS: list[tuple[Callable[..., ef.FeatureView], str | None]] = [
    (plain, None),
    (plain, "known"),
    (rolling, None),
    (rolling, "known"),
]


def contents(store: OnlineStore, view: str, shops: int = 4) -> list[Any]:
    return store.get(view, [(shop,) for shop in range(shops)], at_us=None, ttl_us=0)


@pytest.mark.parametrize(("make", "created"), VIEWS)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 50), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_incremental_equals_full_and_online_equals_offline(
    tmp_path_factory: pytest.TempPathFactory,
    make: Callable[..., ef.FeatureView],
    created: str | None,
    rows: list[tuple[int, int, int, int | None]],
    cuts: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("online")
    view, reader = make(frame(rows), created=created), Reader(folder, {})
    stepwise = OnlineStore(folder / "stepwise.db")
    for cut in sorted(cuts):
        materialize([view], reader, stepwise, until=hour(cut))
        at_once = OnlineStore(folder / f"full{cut}.db")
        materialize([view], reader, at_once, until=hour(cut), full=True)
        assert contents(stepwise, view.name) == contents(at_once, view.name)
        at_once.close()
        # As of the cut, what history says is what the store says.
        history = view_rows(view, reader, as_of=hour(cut))
        feature = "value" if make is plain else "total"
        moments = pl.DataFrame({"shop": list(range(4)), "t": [hour(cut)] * 4})
        joined = point_in_time_join(
            moments,
            [
                ViewRows(
                    name="view",
                    rows=history,
                    keys=["shop"],
                    time="at",
                    features=[feature],
                    ttl=view.time_to_live,
                    created=view.created,
                )
            ],
            time="t",
        )
        online = stepwise.get(
            view.name, [(shop,) for shop in range(4)], at_us=micros(hour(cut)), ttl_us=6 * 3_600_000_000
        )
        assert [values[0] if values else None for values in online] == joined[f"view.{feature}"].to_list()
    stepwise.close()


@pytest.fixture
def store(tmp_path: Path) -> OnlineStore:
    return OnlineStore(tmp_path / "online.db")


def test_a_late_row_with_an_old_event_time_is_not_missed(store: OnlineStore) -> None:
    view = plain(frame([(0, 1, 0, 1), (1, 2, 10, 2)]), created="known")
    reader = Reader(Path(), {})
    (first,) = materialize([view], reader, store, until=hour(5))
    (second,) = materialize([view], reader, store, until=hour(12))
    assert contents(store, "plain", 2) == [[1], [2]]
    assert (first.rows_read, first.entities_written, first.since) == (1, 1, None)
    assert (second.rows_read, second.entities_written, second.since) == (1, 1, hour(5))


def test_a_row_of_the_future_does_not_hide_the_present_one(store: OnlineStore) -> None:
    view = plain(frame([(0, 1, 0, 1)]).vstack(frame([(0, 20, -20, 2)])), created="known")
    reader = Reader(Path(), {})
    materialize([view], reader, store, until=hour(5))
    assert contents(store, "plain", 1) == [[1]]
    materialize([view], reader, store, until=hour(20))
    assert contents(store, "plain", 1) == [[2]]


def test_going_back_in_time_takes_asking_for_it(store: OnlineStore) -> None:
    view, reader = plain(frame([(0, 1, 0, 1), (0, 3, 0, 3)]), created=None), Reader(Path(), {})
    materialize([view], reader, store, until=hour(5))
    materialize([view], reader, store, until=hour(2))
    assert contents(store, "plain", 1) == [[3]]
    assert store.state("plain").watermark_us == micros(hour(5))  # type: ignore[union-attr]
    materialize([view], reader, store, until=hour(2), full=True)
    assert contents(store, "plain", 1) == [[1]]
    assert store.state("plain").watermark_us == micros(hour(2))  # type: ignore[union-attr]


def test_a_changed_definition_is_written_anew_and_a_changed_ttl_is_not(store: OnlineStore) -> None:
    rows, reader = frame([(0, 1, 0, 1), (1, 2, 0, 2)]), Reader(Path(), {})
    source = ef.Source("rows", function=lambda: rows, timestamp="at")

    def made(ttl: str, shift: int) -> ef.FeatureView:
        if shift:

            @ef.feature_view(entities=[SHOP], source=source, ttl=ttl)
            def view(rows: pl.LazyFrame) -> pl.LazyFrame:
                return rows.select("shop", "at", more=pl.col("value") + 10, value="value")

        else:

            @ef.feature_view(entities=[SHOP], source=source, ttl=ttl)
            def view(rows: pl.LazyFrame) -> pl.LazyFrame:
                return rows.select("shop", "at", "value")

        return view

    assert made("1h", 0).definition == made("9h", 0).definition != made("1h", 1).definition
    since = [
        materialize([made(ttl, shift)], reader, store, until=hour(until))[0].since
        for until, (ttl, shift) in enumerate([("1h", 0), ("9h", 0), ("9h", 1), ("9h", 1)], start=3)
    ]
    assert since == [None, hour(3), None, hour(5)]
    assert contents(store, "view", 2) == [[11, 1], [12, 2]]
    assert store.get_one("view", (1,), at_us=None, ttl_us=0, features=("value",)) == [2]


def test_until_must_be_aware(store: OnlineStore) -> None:
    with pytest.raises(TimestampError, match="until must have a time zone"):
        materialize([], Reader(Path(), {}), store, until=datetime(2024, 1, 1))  # noqa: DTZ001 - what is tested


CHILD = """
import sys
import time
from datetime import datetime
from pathlib import Path
import polars as pl
import everfit as ef
import everfit.features.materialize as m
from everfit.store.sqlite_online import OnlineStore
from everfit.store.reader import Reader

class Telling:
    def start(self, task, total=None): print("start", flush=True)
    def advance(self, task, steps=1, note=""):
        print("part", flush=True)
        time.sleep(0.005)
    def finish(self, task, note=""): pass

m._ROWS_PER_WRITE = 500
folder = Path(sys.argv[1])
source = ef.Source("rows", path="rows.parquet", timestamp="at", created="known")
shop = ef.Entity("shop", dtype=pl.Int64)
view = ef.FeatureView("plain", entities=[shop], source=source, features=["value"], ttl="6h")
if sys.argv[3] == "doubled":
    source = ef.Source("rows", path="rows.parquet", timestamp="at")
    view = ef.FeatureView("plain", entities=[shop], source=source, features=["value"], ttl="6h",
                          transform=lambda rows: rows.with_columns(pl.col("value") * 2))
for until in sys.argv[4:]:
    m.materialize([view], Reader(folder, {}), OnlineStore(folder / sys.argv[2]),
                  until=datetime.fromisoformat(until), progress=Telling())
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_the_same(tmp_path: Path) -> None:
    dice = random.Random(7)
    shops = 20_000
    rows = [(shop, dice.randrange(30), dice.randrange(20), dice.randrange(9)) for shop in range(shops) for _ in "ab"]
    frame(rows).write_parquet(tmp_path / "rows.parquet")
    untils = [hour(30).isoformat(), hour(60).isoformat()]

    def command(store: str) -> list[str]:
        return [sys.executable, "-c", CHILD, str(tmp_path), store, "plain", *untils]

    subprocess.run(command("clean.db"), check=True, stdout=subprocess.DEVNULL)
    killed = 0
    # While all is written for the first time, twice; then while what is new is.
    for first, last in ((1, 30), (1, 30), (40, 50), (2, 10), (2, 20)):
        with subprocess.Popen(command("killed.db"), stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(dice.randint(first, last)):
                child.stdout.readline()
            time.sleep(dice.random() * 0.01)
            child.send_signal(signal.SIGKILL)
            killed += child.wait() == -signal.SIGKILL
    assert killed == 5
    subprocess.run(command("killed.db"), check=True, stdout=subprocess.DEVNULL)
    clean, again = OnlineStore(tmp_path / "clean.db"), OnlineStore(tmp_path / "killed.db")
    assert contents(again, "plain", shops) == contents(clean, "plain", shops)
    ended, expected = again.state("plain"), clean.state("plain")
    assert ended is not None
    assert expected is not None
    assert ended._replace(number=expected.number) == expected
    assert None not in contents(clean, "plain", shops)


@pytest.mark.slow
def test_killed_while_another_generation_is_written_nothing_is_half_there(tmp_path: Path) -> None:
    dice, shops = random.Random(3), 20_000
    rows = [(shop, dice.randrange(30), 0, dice.randrange(1, 9)) for shop in range(shops)]
    frame(rows).write_parquet(tmp_path / "rows.parquet")
    once = [sys.executable, "-c", CHILD, str(tmp_path), "online.db"]
    subprocess.run([*once, "plain", hour(30).isoformat()], check=True, stdout=subprocess.DEVNULL)
    online = OnlineStore(tmp_path / "online.db")
    [plain] = online.generations()
    before = contents(online, "plain", shops)
    for _ in range(4):
        with subprocess.Popen([*once, "doubled", hour(30).isoformat()], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(dice.randint(2, 35)):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        # It is not read, and of a killed writer no lock stays.
        assert [found for found in online.generations() if found.complete] == [plain]
        assert contents(online, "plain", shops) == before
    subprocess.run([*once, "doubled", hour(30).isoformat()], check=True, stdout=subprocess.DEVNULL)
    kept, doubled = online.generations()
    assert (kept, doubled.complete, doubled.watermark_us) == (plain, True, micros(hour(30)))
    keys = [(shop,) for shop in range(shops)]
    assert online.get("plain", keys, at_us=None, ttl_us=0, definition=doubled.definition) == [
        [2 * value] for [value] in before
    ]
