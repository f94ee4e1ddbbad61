"""Every online store keeps the promises of the protocol."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.errors import StoreError
from everfit.store.sqlite_online import OnlineStore


@pytest.fixture(params=[OnlineStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    made = request.param(tmp_path / "deep" / "online.db")
    yield made
    made.close()


def put(store: OnlineStore, key: Any, event_us: int, created_us: int, *values: Any, view: str = "shops") -> Any:
    return write(store, view, [[key]], [event_us], [created_us], [[value] for value in values])


def write(store: OnlineStore, view: str, *columns: Any, **more: Any) -> Any:
    generation = store.state(view)
    assert generation is not None
    return store.write_columns(generation, *columns, **more)


def newest(store: OnlineStore, *key: Any, view: str = "shops", features: tuple[str, ...] | None = None) -> Any:
    return store.get_one(view, key, at_us=None, ttl_us=0, features=features)


@pytest.mark.parametrize(
    ("at_us", "seen"),
    [(99, False), (149, False), (150, True), (160, True), (161, False), (None, True)],
)
def test_visible_from_its_known_time_until_its_ttl_both_ends_included(
    store: OnlineStore, at_us: int | None, seen: bool
) -> None:
    store.create("shops", ["orders"])
    put(store, "a", 100, 150, 7)
    expected = [7] if seen else None
    assert store.get_one("shops", ("a",), at_us=at_us, ttl_us=60) == expected
    assert store.get("shops", [("a",), ("b",)], at_us=at_us, ttl_us=60) == [expected, None]


def test_keys_are_visible_each_at_its_own_instant(store: OnlineStore) -> None:
    store.create("shops", ["orders"])
    write(store, "shops", [["a", "b"]], [100, 200], [100, 200], [[7, 8]])
    keys = [("a",), ("b",), ("a",), ("b",), ("c",)]
    instants = [100, 199, 161, 260, 100]
    found = store.get("shops", keys, at_us=instants, ttl_us=60)
    assert found == [[7], None, None, [8], None]
    assert found == [store.get_one("shops", key, at_us=at, ttl_us=60) for key, at in zip(keys, instants, strict=True)]


def test_more_entities_than_are_cached(store: OnlineStore) -> None:
    numbers = range(25_000)
    store.create("shops", ["orders"])
    write(store, "shops", [numbers], numbers, numbers, [numbers])
    for _ in range(2):
        assert [newest(store, number) for number in numbers] == [[number] for number in numbers]
        for start in numbers[::5_000]:
            keys = [(number,) for number in numbers[start : start + 5_000]]
            assert store.get("shops", keys, at_us=None, ttl_us=0) == [list(key) for key in keys]
    write(store, "shops", [[3]], [30_000], [30_000], [[-1]])
    assert newest(store, 3) == [-1]


def test_a_row_of_the_future_is_not_visible(store: OnlineStore) -> None:
    store.create("shops", ["orders"])
    put(store, "a", 100, 50, 7)
    assert store.get_one("shops", ("a",), at_us=99, ttl_us=60) is None


def test_nulls_are_values_and_unknown_is_no_row(store: OnlineStore) -> None:
    assert newest(store, "a", view="never") is None
    assert store.state("never") is None
    store.create("shops", ["orders", "rate"])
    put(store, "a", 1, 1, 1, 0.5)
    put(store, "a", 2, 2, None, None)
    assert newest(store, "a") == [None, None]
    assert newest(store, "z") is None
    assert store.get("shops", [], at_us=None, ttl_us=0) == []


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        (3, np.int64(3)),
        (np.int32(-3), -3),
        ("é", np.str_("é")),
        (dt.date(2024, 2, 29), dt.date(2024, 2, 29)),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        (2**63 + 1, np.uint64(2**63 + 1)),
    ],
)
def test_equal_keys_are_one_key(store: OnlineStore, written: Any, asked: Any) -> None:
    store.create("shops", ["orders"])
    put(store, written, 1, 1, 7)
    assert newest(store, asked) == [7]


def test_text_and_numbers_are_different_keys_and_composite_keys_do_not_run_together(store: OnlineStore) -> None:
    store.create("pairs", ["x"])
    write(store, "pairs", [["a", "ab", 1, "1"], ["bc", "c", 2, 2]], [1] * 4, [1] * 4, [[1, 2, 3, 4]])
    asked = [("a", "bc"), ("ab", "c"), (1, 2), ("1", 2), ("abc", "")]
    assert store.get("pairs", asked, at_us=None, ttl_us=0) == [[1], [2], [3], [4], None]


def test_features_are_found_by_name_whatever_their_order(store: OnlineStore) -> None:
    store.create("shops", ["orders", "rate"])
    put(store, "a", 1, 1, 5, 0.5)
    assert newest(store, "a", features=("rate", "orders")) == [0.5, 5]
    assert newest(store, "a", features=("rate", "gone")) == [0.5, None]
    draft = store.create("shops", ["rate", "new", "orders"], draft=True)
    store.write_columns(draft, [["a"]], [2], [2], [[0.7], [9], [6]])
    assert newest(store, "a") == [5, 0.5]
    store.publish(draft)
    assert newest(store, "a", features=("rate", "orders")) == [0.7, 6]
    assert newest(store, "a") == [0.7, 9, 6]
    [state] = store.generations()
    assert (state.features, state.complete) == (("rate", "new", "orders"), True)


def test_many_keys_repeated_and_unknown_ones_among_them(store: OnlineStore) -> None:
    store.create("shops", ["orders"])
    count = 1500
    numbers = list(range(count))
    assert write(store, "shops", [numbers], numbers, numbers, [numbers]) == count
    asked = [(number % 2000,) for number in range(0, 6000, 7)]
    expected = [[key] if key < count else None for (key,) in asked]
    assert store.get("shops", asked, at_us=None, ttl_us=0) == expected


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), max_size=150)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 150), max_size=4))
def test_newest_wins_whatever_the_order_and_the_batches(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    store = OnlineStore(tmp_path_factory.mktemp("online") / "online.db")
    store.create("shops", ["number"])
    bounds = sorted({0, *cuts, len(rows)})
    for start, end in pairwise(bounds):
        part = rows[start:end]
        write(
            store,
            "shops",
            [[key for key, _, _ in part]],
            [event for _, event, _ in part],
            [created for _, _, created in part],
            [list(range(start, start + len(part)))],
        )
    best: dict[int, tuple[int, int, int]] = {}
    for number, (key, event, created) in enumerate(rows):
        best[key] = max(best.get(key, (-1, -1, -1)), (event, created, number))
    for key in range(4):
        assert newest(store, key) == ([best[key][2]] if key in best else None)
    store.close()


def test_writing_again_changes_nothing_and_tells_who_won(store: OnlineStore) -> None:
    store.create("shops", ["orders"])
    assert put(store, "a", 5, 5, 1) == 1
    assert put(store, "a", 4, 9, 2) == 0
    assert put(store, "a", 5, 5, 1) == 1
    assert newest(store, "a") == [1]


def test_all_or_nothing(store: OnlineStore) -> None:
    store.create("shops", ["orders"])
    with pytest.raises(StoreError, match="has 1 features, one column each, but got 2"):
        write(store, "shops", [["a"]], [1], [1], [[1], [2]], watermark_us=9)
    with pytest.raises(TypeError):
        write(store, "shops", [["a", "b"]], [1, 1], [1, 1], [[1, object()]], watermark_us=9)
    with pytest.raises(ValueError, match="zip"):
        write(store, "shops", [["a", "b"]], [1, 1], [1], [[1, 2]], watermark_us=9)
    assert newest(store, "a") is None
    state = store.state("shops")
    assert state is not None
    assert state.watermark_us is None
    write(store, "shops", [[]], [], [], [[]], watermark_us=9)
    state = store.state("shops")
    assert state is not None
    assert state.watermark_us == 9


def test_views_that_do_not_exist_are_refused(store: OnlineStore) -> None:
    replaced = store.create("shops", ["orders"])
    store.create("shops", ["orders"])
    assert store.write_columns(replaced, [["a"]], [1], [1], [[1]]) is None
    with pytest.raises(StoreError, match="a draft that is there can be published, but got 'shops 1'"):
        store.publish(replaced)


def test_other_threads_read_while_one_writes_and_replaces(store: OnlineStore) -> None:
    generation = store.create("shops", ["a", "b"])
    keys = list(range(300))
    store.write_columns(generation, [keys], [0] * 300, [0] * 300, [[0] * 300, [0] * 300])
    stop = threading.Event()
    broken: list[Any] = []

    def read() -> None:
        highest = 0
        while not stop.is_set():
            one = newest(store, 7, features=("a", "b"))
            many = store.get("shops", [(key,) for key in range(100)], at_us=None, ttl_us=0, features=("b", "a"))
            firsts = {tuple(values or ()) for values in many}
            # One state of the store: all rows of one write, and never an older one than was seen before.
            if one is None or one[0] != one[1] or len(firsts) != 1 or one[0] < highest:
                broken.append((one, firsts, highest))
                return
            highest = next(iter(firsts))[0]

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(1, 60):
        if turn % 3 == 0:
            generation = store.create("shops", ["b", "a"] if turn % 2 else ["a", "b"], draft=True)
        store.write_columns(generation, [keys], [turn] * 300, [turn] * 300, [[turn] * 300, [turn] * 300])
        if turn % 3 == 0:
            store.publish(generation)
    stop.set()
    for thread in threads:
        thread.join()
    assert broken == []


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    store = OnlineStore(tmp_path / "online.db")
    store.create("shops", ["orders"])
    put(store, "a", 1, 1, 42)
    code = (
        "import sys; from pathlib import Path; from everfit.store.sqlite_online import OnlineStore\n"
        "store = OnlineStore(Path(sys.argv[1]))\n"
        "print(store.get_one('shops', ('a',), at_us=1, ttl_us=0))\n"
        "print([name for name in ('polars', 'numpy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "online.db")]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["[42]", "[]"]
    store.close()


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"This is not a database, whatever its name may say." * 100)
    with pytest.raises(StoreError, match=r"online\.db cannot be used: file is not a database"):
        OnlineStore(tmp_path / "online.db")
