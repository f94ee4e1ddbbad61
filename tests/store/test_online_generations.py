"""Generations of a view in the online store: read by definition, published whole, dropped whole, and old files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from everfit.core.errors import StoreError
from everfit.store.sqlite_online import OnlineStore

DEFINITIONS = ("one", "two", "three")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OnlineStore]:
    made = OnlineStore(tmp_path / "online.db")
    yield made
    made.close()


def fill(store: OnlineStore, definition: str, value: int, *, at: int = 1, draft: bool = False) -> Any:
    generation = store.create("shops", ["x"], definition=definition, keys=["shop"], draft=draft)
    store.write_columns(generation, [["a"]], [at], [at], [[value]], watermark_us=at)
    return generation


def read(store: OnlineStore, definition: str | None = None) -> Any:
    one = store.get_one("shops", ("a",), at_us=None, ttl_us=0, features=("x",), definition=definition)
    assert store.get("shops", [("a",)], at_us=None, ttl_us=0, features=("x",), definition=definition) == [one]
    return None if one is None else one[0]


class Generations(RuleBasedStateMachine):
    """Against a dictionary by definition; another process's store is another object on the same file."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.stores = [OnlineStore(self.folder / f"{id(self)}.db") for _ in range(2)]
        self.complete: dict[str, int] = {}
        self.drafts: dict[str, tuple[Any, int]] = {}
        self.chosen: str | None = None

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    @rule(store=st.integers(0, 1), definition=st.sampled_from(DEFINITIONS), value=st.integers(0, 9))
    def begin(self, store: int, definition: str, value: int) -> None:
        self.drafts[definition] = (fill(self.stores[store], definition, value, draft=True), value)

    @rule(store=st.integers(0, 1), definition=st.sampled_from(DEFINITIONS))
    def publish(self, store: int, definition: str) -> None:
        if definition not in self.drafts:
            return
        draft, value = self.drafts.pop(definition)
        self.stores[store].publish(draft)
        self.complete[definition] = value

    @rule(store=st.integers(0, 1), definition=st.sampled_from(DEFINITIONS))
    def drop(self, store: int, definition: str) -> None:
        assert self.stores[store].drop("shops", definition)
        self.complete.pop(definition, None)
        self.drafts.pop(definition, None)
        self.chosen = None if self.chosen == definition else self.chosen

    @rule(store=st.integers(0, 1), definition=st.sampled_from(DEFINITIONS))
    def choose(self, store: int, definition: str) -> None:
        if definition in self.complete:
            self.stores[store].choose("shops", definition)
            self.chosen = definition

    @rule(store=st.integers(0, 1))
    def look(self, store: int) -> None:
        online = self.stores[store]
        for definition in DEFINITIONS:
            assert read(online, definition) == self.complete.get(definition)
        present = {found.definition: found.number for found in online.generations("shops") if found.complete}
        assert set(present) == set(self.complete)
        current = self.chosen or max(present, key=lambda name: present[name], default=None)
        assert read(online) == (None if current is None else self.complete[current])


def test_any_order_of_changes(tmp_path: Path) -> None:
    Generations.folder = tmp_path
    Generations.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    Generations.TestCase("runTest").runTest()


def test_the_current_generation_is_read_again_once_another_one_is_chosen(store: OnlineStore) -> None:
    fill(store, "one", 1)
    fill(store, "two", 2)
    store.choose("shops", "one")
    assert (read(store), read(store, "two")) == (1, 2)
    store.choose("shops", "two")
    assert read(store) == 2
    # Written again, it stays the current one, whatever was created since.
    store.publish(fill(store, "two", 3, draft=True))
    fill(store, "four", 4)
    assert read(store) == 3
    store.drop("shops", "two")
    assert read(store) == 4


def test_choosing_again_writes_nothing(store: OnlineStore) -> None:
    fill(store, "one", 1)
    store.choose("shops", "one")
    session = store._session()
    changes = session.connection.total_changes
    store.choose("shops", "one")
    assert session.connection.total_changes == changes


def test_what_is_being_written_is_not_dropped_and_leaves_no_lock(store: OnlineStore, tmp_path: Path) -> None:
    fill(store, "one", 1)
    with store.writing("shops", "one"):
        assert not store.drop("shops", "one")
        # Another definition is free.
        with store.writing("shops", "two", wait=False) as held:
            assert held
    assert read(store, "one") == 1
    assert store.drop("shops", "one")
    assert store.drop("shops", "two")
    assert store.drop("shops", "one")
    assert list(tmp_path.glob("*-*.lock")) == []


def test_one_writer_at_a_time_even_while_lock_files_are_deleted(tmp_path: Path) -> None:
    inside, most, written = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, written
        store = OnlineStore(tmp_path / "online.db")
        for _ in range(60):
            with store.writing("shops", "one"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                    written += 1
                with guard:
                    inside -= 1
            store.drop("shops", "one")
        store.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, written) == (1, 240)


OLD_LAYOUT = """
PRAGMA journal_mode = WAL;
CREATE TABLE views (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, features TEXT NOT NULL,
    definition TEXT NOT NULL, watermark_us INTEGER);
"""


def old_file(path: Path) -> None:
    """Write a store as it was before there were generations, with a view that was being written again."""
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_LAYOUT)
        for number, name, value in ((3, "shops", 7), (4, "shops.next", 8)):
            row = number, name, '["x"]', "sha256:old", 5
            connection.execute("INSERT INTO views VALUES (?, ?, ?, ?, ?)", row)
            connection.execute(
                f"CREATE TABLE rows_{number} (key BLOB PRIMARY KEY, event_us INTEGER NOT NULL, "
                "created_us INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID"
            )
            values = msgspec.msgpack.encode(("a",)), 1, 1, msgspec.msgpack.encode([value])
            connection.execute(f"INSERT INTO rows_{number} VALUES (?, ?, ?, ?)", values)
    connection.close()


def test_a_file_of_the_old_layout_is_changed_to_this_one(tmp_path: Path) -> None:
    old_file(tmp_path / "online.db")
    stores = [OnlineStore(tmp_path / "online.db") for _ in range(2)]
    for store in stores:
        [only] = store.generations()
        assert (only.view, only.definition, only.watermark_us, only.complete) == ("shops", "sha256:old", 5, True)
        assert read(store) == read(store, "sha256:old") == 7
        assert read(store, "sha256:new") is None
    fill(stores[0], "sha256:new", 9)
    assert (read(stores[1], "sha256:old"), read(stores[1], "sha256:new"), read(stores[1])) == (7, 9, 7)
    # A process that began before reads on.
    with sqlite3.connect(tmp_path / "online.db") as connection:
        assert connection.execute("SELECT number, name FROM views").fetchall() == [(3, "shops")]
    connection.close()


READ_ONLY = """
import sys
from pathlib import Path
from everfit.store import sqlite_online
sqlite_online.is_read_only = lambda path: True
store = sqlite_online.OnlineStore(Path(sys.argv[1]))
print(store.get_one("shops", ("a",), at_us=None, ttl_us=0), store.generations()[0].definition)
"""


def test_a_read_only_file_of_the_old_layout_is_read(tmp_path: Path) -> None:
    # The user of the tests may write everything: that the file is read-only is what the process is told.
    old_file(tmp_path / "online.db")
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(tmp_path / "online.db")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[7]", "sha256:old"]
    with sqlite3.connect(tmp_path / "online.db") as connection:
        assert connection.execute("SELECT count(*) FROM views").fetchone() == (2,)
    connection.close()


def test_columns_must_fit_the_generation(store: OnlineStore) -> None:
    generation = fill(store, "one", 1)
    with pytest.raises(StoreError, match="has 1 features, one column each, but got 2"):
        store.write_columns(generation, [["a"]], [1], [1], [[1], [2]])
