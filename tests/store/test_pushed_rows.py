"""Pushed rows of the log are decoded once, and are those of a reading from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from everfit.store.journal_records import PUSHES, PushedRows
from everfit.store.pushed_rows import PushTailer
from everfit.store.record_log import RecordLog


def pushed(view: str, number: int, value: Any) -> PushedRows:
    """A push of two rows."""
    return PushedRows(
        view=view,
        recorded_us=number,
        event_us=[number, number + 1],
        created_us=[number] * 2,
        keys={"site": [number, 7]},
        features={"mean": [value, None]},
    )


def test_what_was_read_bit_by_bit_is_what_is_read_at_once(tmp_path: Path) -> None:
    lake, journal = tmp_path / "lake", tmp_path / "journal"
    tailer = PushTailer(lake, journal, "load")
    assert tailer.scan().collect().is_empty()
    log = RecordLog[PushedRows](journal / PUSHES)
    values: list[Any] = [None, 1.5, 2.0, None, "high", True]
    for number, value in enumerate(values):
        log.append(pushed("load", number, value))
        log.append(pushed("other", number, 0.0))
        if number == 3:
            log.close()
            log = RecordLog[PushedRows](journal / PUSHES)
        found, whole = tailer.scan().collect(), PushTailer(lake, journal, "load").scan().collect()
        assert found.height == 2 * (number + 1)
        assert found.equals(whole)
        assert found.schema == whole.schema
        assert tailer.scan().collect().equals(whole)
    log.close()
