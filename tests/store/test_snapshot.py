"""A snapshot is read as it was written, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.store.snapshot import read_snapshot, write_snapshot


@dataclass(frozen=True, kw_only=True)
class State:
    at: datetime
    sums: NDArray[np.float64]
    rows: pl.DataFrame
    steps: list[tuple[int, float]]


STATE = State(
    at=datetime(2026, 1, 1, 12, 0, 0, 7, tzinfo=UTC),
    sums=np.array([0.1, -np.inf, np.nan]),
    rows=pl.DataFrame({"id": ["a", None], "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 2}),
    steps=[(1, 0.1 + 0.2)],
)


def test_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "monitoring" / "late.snapshot"
    assert read_snapshot(path, "key", State) is None
    write_snapshot(path, "key", STATE)
    found = read_snapshot(path, "key", State)
    assert found is not None
    assert (found.at, found.steps) == (STATE.at, STATE.steps)
    assert found.sums.tobytes() == STATE.sums.tobytes()
    assert found.rows.equals(STATE.rows)
    assert found.rows.schema == STATE.rows.schema
    assert read_snapshot(path, "other", State) is None
    assert [file.name for file in path.parent.iterdir()] == ["late.snapshot"]


def test_a_damaged_one_is_none(tmp_path: Path) -> None:
    path, dice = tmp_path / "late.snapshot", np.random.default_rng(0)
    write_snapshot(path, "key", STATE)
    whole = path.read_bytes()
    for _ in range(200):
        content, place = bytearray(whole), int(dice.integers(len(whole)))
        content[place] ^= int(dice.integers(1, 256))
        path.write_bytes(content if dice.random() < 0.5 else whole[:place])
        assert read_snapshot(path, "key", State) is None
    # Whole, but of another release.
    write_snapshot(path, "key", [1, "two"])
    assert read_snapshot(path, "key", State) is None
