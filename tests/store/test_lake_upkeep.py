"""A lake has few files and keeps what it must, whatever is appended, merged and deleted in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfit.store import lake_upkeep
from everfit.store.lake import PLACE, SEGMENT, Schema, SegmentRows, append, scan_tables, tables_under
from everfit.store.lake_upkeep import delete_old_rows, merge_small_files
from everfit.store.table_tailer import TableTailer
from everfit.store.timestamps import INSTANT

TABLE = "outcomes/late"
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
BASE: Schema = {"id": pl.String(), "recorded_at": INSTANT, SEGMENT: pl.String(), PLACE: pl.Int64()}


def add(lake: Path, number: int, *, rows: int = 3) -> None:
    """Append a segment, all of one hour."""
    segment = f"{number:06}"
    frame = pl.DataFrame(
        {
            "id": [f"{number}-{row}" for row in range(rows)],
            "recorded_at": [START + number * HOUR] * rows,
            SEGMENT: [segment] * rows,
            PLACE: list(range(rows)),
        },
        schema=BASE,
    )
    append(lake, TABLE, [SegmentRows(segment=segment, table=TABLE, rows=frame)])


def files(lake: Path) -> int:
    return sum(len(table.files()) for _, table in tables_under(lake, TABLE))


def ids(lake: Path) -> list[str]:
    return scan_tables(lake, TABLE, (), base=BASE).collect()["id"].to_list()


def tailer(lake: Path) -> TableTailer:
    return TableTailer(lake, TABLE, BASE, lambda _: True, "recorded_at")


def test_files_are_merged_in_order_and_not_read_again(tmp_path: Path) -> None:
    follower = tailer(tmp_path)
    read = 0
    for number in range(45):
        merge_small_files(tmp_path, TABLE)
        add(tmp_path, number)
        rows, is_all = follower.grown()
        assert is_all == (number == 0)
        read += rows.height
        assert files(tmp_path) <= 33
    assert read == 135
    assert sorted(ids(tmp_path)) == sorted(f"{number}-{row}" for number in range(45) for row in range(3))
    spans = sorted(follower._files[TABLE].values())
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert follower.between(START, START + 10 * HOUR, lambda _: True).collect().height == 33


def test_a_segment_that_comes_back_after_a_merge_is_not_added_again(tmp_path: Path) -> None:
    for number in range(40):
        add(tmp_path, number)
    assert merge_small_files(tmp_path, TABLE) == 1
    add(tmp_path, 7)
    assert len(ids(tmp_path)) == 120


def test_old_rows_are_deleted_and_the_rest_is_read_again(tmp_path: Path) -> None:
    for number in range(6):
        add(tmp_path, number)
    follower = tailer(tmp_path)
    follower.grown()
    assert delete_old_rows(tmp_path, TABLE, START + 4 * HOUR) == 12
    rows, is_all = follower.grown()
    assert (rows.height, is_all) == (6, True)
    assert delete_old_rows(tmp_path, TABLE, START + 4 * HOUR) == 0


def test_rows_that_a_file_shares_with_younger_ones_are_deleted_too(tmp_path: Path) -> None:
    for number in range(40):
        add(tmp_path, number)
    merge_small_files(tmp_path, TABLE)
    assert delete_old_rows(tmp_path, TABLE, START + 30 * HOUR) == 90
    assert {name.split("-")[0] for name in ids(tmp_path)} == {str(number) for number in range(30, 40)}


STEPS = st.lists(st.sampled_from(["add", "add", "add", "merge", "read", "delete"]), max_size=20)


@settings(max_examples=15)  # each writes tables
@given(steps=STEPS)
def test_a_follower_has_what_the_tables_have(steps: list[str]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake_upkeep, "_MOST_SMALL", 3)
        lake, follower, held = Path(folder), tailer(Path(folder)), list[str]()
        for number, step in enumerate([*steps, "read"]):
            if step == "add":
                add(lake, number)
            elif step == "merge":
                merge_small_files(lake, TABLE)
            elif step == "delete":
                delete_old_rows(lake, TABLE, START + number // 2 * HOUR)
            else:
                rows, is_all = follower.grown()
                held = rows["id"].to_list() if is_all else [*held, *rows["id"]]
                assert sorted(held) == sorted(ids(lake))
