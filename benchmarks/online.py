"""The online store: look-ups, loading and materialising, beside bare SQLite on the same table in the same run.

Run with ``python benchmarks/online.py``; it takes about a minute and 500 MB of disk in a temporary folder.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

import everfit as ef
from everfit.features.materialize import materialize
from everfit.store.reader import Reader
from everfit.store.sqlite_online import OnlineStore

ENTITIES = 1_000_000
HISTORY = 10_000_000
FEATURES = tuple(f"f{number}" for number in range(5))
START = datetime(2024, 1, 1, tzinfo=UTC)
UNTIL = START + timedelta(days=30)
UNTIL_US = (UNTIL - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
TTL_US = 365 * 86_400_000_000


def run() -> list[dict[str, Any]]:
    """All figures: name, value, unit, goal, reference (bare SQLite in the same run) and ratio of value to reference."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = OnlineStore(folder / "online.db")
        load, load_floor = _loading(store, folder)
        alone, alone_p99 = _percentiles(lambda key: store.get_one("shops", key, at_us=UNTIL_US, ttl_us=TTL_US), 50_000)
        floor, floor_p99 = _percentiles(_bare_select(folder, store), 50_000)
        hundred = _hundred(store)
        distinct = _materializing(store, folder, rows=ENTITIES)
        history = _materializing(store, folder, rows=HISTORY)
        store.close()
    return [
        _result("online: one look-up, p50", alone, "µs", 10, floor),
        _result("online: one look-up, p99", alone_p99, "µs", None, floor_p99),
        _result("online: 100 keys, p50", hundred, "ms", 0.4, floor * 100 / 1e3),
        _result("online: loading distinct entities", load, "rows/s", None, load_floor),
        _result("online: materialising, 1 row per entity", distinct, "rows/s", 250_000, load_floor),
        _result("online: materialising, 10 rows per entity", history, "rows/s", 250_000, load_floor),
    ]


def _result(name: str, value: float, unit: str, goal: float | None, reference: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "goal": goal,
        "reference": reference,
        "ratio": value / reference,
    }


def _loading(store: OnlineStore, folder: Path) -> tuple[float, float]:
    """Rows a second into an empty view of columns in memory, and of ready-made blobs into a bare table."""
    times = list(range(UNTIL_US - ENTITIES, UNTIL_US))
    columns = np.random.default_rng(0).random((len(FEATURES), ENTITIES)).tolist()
    shops = store.create("shops", FEATURES)
    ours = _seconds(lambda: store.write_columns(shops, [range(ENTITIES)], times, times, columns))
    encode = msgspec.msgpack.encode
    rows = [
        (encode((key,)), at, at, encode(values))
        for key, at, values in zip(range(ENTITIES), times, zip(*columns, strict=True), strict=True)
    ]
    connection = sqlite3.connect(folder / "bare.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE bare (key BLOB PRIMARY KEY, event_us INTEGER, created_us INTEGER, payload BLOB) WITHOUT ROWID"
    )

    def insert() -> None:
        connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?)", rows)
        connection.commit()

    bare = _seconds(insert)
    connection.close()
    return ENTITIES / ours, ENTITIES / bare


def _bare_select(folder: Path, store: OnlineStore) -> Callable[[tuple[int]], object]:
    """The same table read with nothing but ``sqlite3``; the key's encoding is part of any look-up."""
    connection = sqlite3.connect(store.path, isolation_level=None)
    state = store.state("shops")
    assert state is not None
    statement = f"SELECT payload FROM {state.table} WHERE key = ?"
    encode = msgspec.msgpack.Encoder().encode
    return lambda key: connection.execute(statement, (encode(key),)).fetchone()


def _percentiles(look_up: Callable[[tuple[int]], object], times: int) -> tuple[float, float]:
    """Median and 99th percentile in microseconds, over keys in random order."""
    dice = random.Random(0)
    keys = [(dice.randrange(ENTITIES),) for _ in range(times)]
    for key in keys:
        look_up(key)
    taken = []
    for key in keys:
        began = time.perf_counter_ns()
        look_up(key)
        taken.append(time.perf_counter_ns() - began)
    return _median(taken) / 1e3, sorted(taken)[len(taken) * 99 // 100] / 1e3


def _hundred(store: OnlineStore) -> float:
    """Milliseconds for 100 keys at once, the median."""
    dice = random.Random(1)
    taken = []
    for _ in range(500):
        keys = [(dice.randrange(ENTITIES),) for _ in range(100)]
        began = time.perf_counter_ns()
        store.get("shops", keys, at_us=UNTIL_US, ttl_us=TTL_US)
        taken.append(time.perf_counter_ns() - began)
    return _median(taken) / 1e6


def _materializing(store: OnlineStore, folder: Path, *, rows: int) -> float:
    """Rows of history a second, from Parquet to a store that can be asked."""
    dice = np.random.default_rng(0)
    shops = dice.permutation(rows) % ENTITIES
    at = pl.lit(START) + pl.duration(microseconds="offset")
    columns = {name: dice.random(rows) for name in FEATURES} | {"offset": dice.integers(0, 30 * 86_400_000_000, rows)}
    pl.DataFrame({"shop": shops, **columns}).with_columns(at=at).write_parquet(folder / f"{rows}.parquet")
    source = ef.Source("orders", path=f"{rows}.parquet", timestamp="at")
    shop = ef.Entity("shop", dtype=pl.Int64)
    view = ef.FeatureView(f"shops_{rows}", entities=[shop], source=source, features=FEATURES, ttl="30d")
    (done,) = materialize([view], Reader(folder, {}), store, until=UNTIL)
    return done.rows_read / done.seconds


def _median(taken: Sequence[int]) -> float:
    return float(sorted(taken)[len(taken) // 2])


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    for line in run():
        goal = "" if line["goal"] is None else f", goal {line['goal']:,}"
        print(
            f"{line['name']:<44}{line['value']:>14,.2f} {line['unit']}{goal}; "
            f"bare SQLite {line['reference']:,.2f}, ×{line['ratio']:.2f}"
        )
