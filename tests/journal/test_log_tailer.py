"""A log that is read as it grows gives the rows of one reading, whatever is written, sealed and shipped in between."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.journal.records import LAYOUT, Service, variant

from everfit.journal.log_tailer import LogTailer
from everfit.journal.logs import FAILURE_LOG, OUTCOME_LOG, PREDICTION_LOG, PUSH_LOG
from everfit.journal.ship import ship
from everfit.store.lake import SegmentRows

LOGS = PREDICTION_LOG, OUTCOME_LOG, PUSH_LOG, FAILURE_LOG
STEPS = st.one_of(
    st.tuples(st.just("predict"), st.sampled_from([LAYOUT, variant(version=4), variant(event_time="")])),
    st.sampled_from([("report",), ("push",), ("read",), ("seal",), ("ship",)]),
)


def by_table(parts: list[SegmentRows]) -> dict[tuple[str, str], pl.DataFrame]:
    return {(part.segment, part.table): part.rows for part in parts}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tailed")


@settings(max_examples=30)  # each writes files
@given(steps=st.lists(STEPS, max_size=16))
def test_it_is_one_reading(folders: Path, steps: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory(dir=folders) as folder:
        journal, lake = Path(folder) / "journal", Path(folder) / "lake"
        service = Service(journal)
        tailers = [LogTailer(log, journal) for log in LOGS]
        for number, (step, *values) in enumerate([*steps, ("read",)]):
            if step == "predict":
                service.predict(f"{number}a", f"{number}b", at=number, layout=values[0])
            elif step == "report":
                service.report({f"{number}a": "True", "b": None}, at=number)
            elif step == "push":
                service.push((1, number, number, 2.5), (2, number, number, None), at=number)
            elif step == "seal":
                service.stop()
            elif step == "ship":
                ship(journal, lake)
            else:
                for log, tailer in zip(LOGS, tailers, strict=True):
                    expected, found = by_table(log.unshipped(journal)), by_table(tailer.unshipped())
                    assert found.keys() == expected.keys()
                    for name, rows in expected.items():
                        assert_frame_equal(found[name], rows)
        service.stop()


def test_what_was_read_is_not_decoded_again(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, tailer = Service(journal), LogTailer(PREDICTION_LOG, journal)
    service.predict("a")
    assert len(tailer.unshipped()) == 1
    read = tailer._segments
    assert tailer.unshipped()
    assert all(tailer._segments[name] is held for name, held in read.items())
    service.predict("b")
    [part] = tailer.unshipped()
    assert part.rows["id"].to_list() == ["a", "b"]
    service.stop()
