"""Portions of tables are all that they hold, in the order of their files' first instants."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.store.test_lake_upkeep import START, add, ids, tailer

from everfit.store.lake_upkeep import merge_small_files


@pytest.mark.parametrize("most_rows", [1, 2, 3, 7, 100])
def test_every_row_is_read_once(tmp_path: Path, most_rows: int) -> None:
    for number in (3, 1, 2, 0):
        add(tmp_path, number, rows=5)
    follower, read = tailer(tmp_path), list[str]()
    for call in range(100):
        rows, is_all = follower.grown(most_rows=most_rows)
        assert is_all == (call == 0)
        assert rows.height <= most_rows or most_rows >= 5
        read += rows["id"].to_list()
        if follower.unread_from is None:
            break
        assert follower.unread_from == START + timedelta(hours=int(ids_left(read)[0].split("-")[0]))
    assert sorted(read) == sorted(ids(tmp_path))
    assert [name.split("-")[0] for name in read] == sorted(name.split("-")[0] for name in read)
    add(tmp_path, 9)
    assert follower.grown(most_rows=most_rows)[0].height == min(most_rows, 3)


def ids_left(read: list[str]) -> list[str]:
    return sorted({f"{number}-{row}" for number in range(4) for row in range(5)} - set(read))


def test_a_file_that_is_merged_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    for number in range(40):
        add(tmp_path, number, rows=5)
    follower = tailer(tmp_path)
    follower.grown(most_rows=3)
    merge_small_files(tmp_path, "outcomes/late")
    rows, is_all = follower.grown()
    assert is_all
    assert sorted(rows["id"]) == sorted(ids(tmp_path))


def test_files_that_begin_later_wait(tmp_path: Path) -> None:
    for number in (3, 1, 2, 0):
        add(tmp_path, number)
    follower = tailer(tmp_path)
    rows, _ = follower.grown(until=START + timedelta(hours=1))
    assert {name.split("-")[0] for name in rows["id"]} == {"0", "1"}
    assert follower.unread_from == START + timedelta(hours=2)
    assert follower.grown()[0].height == 6
    assert follower.unread_from is None
