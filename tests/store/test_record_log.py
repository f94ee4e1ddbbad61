"""Records come back as they went in; predictions never without their layout."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.store.recent_predictions import recent_predictions, recent_records

from everfit.core.errors import StoreError
from everfit.store.journal_records import PREDICTIONS, Outcome, Outcomes, PredictionLayout, Predictions
from everfit.store.record_log import PredictionLog, RecordLog, records_of
from everfit.store.segments import SegmentWriter, read_segment, sealed_segments

LAYOUT = PredictionLayout(
    number=0,
    model="late",
    version=3,
    digest="sha256:1",
    task="binary",
    request=(("shop", "integer"), ("at", "instant")),
    features=("shop.load", "distance"),
    classes=(False, True),
    event_time="at",
)


def predictions(layout: int, *ids: str) -> Predictions:
    return Predictions(
        layout=layout,
        route="champion",
        recorded_us=5,
        latency_us=7,
        ids=ids,
        rows=[(1, datetime(2024, 1, 1, tzinfo=UTC))] * len(ids),
        features=[(0.5, None)] * len(ids),
        values=[0.25] * len(ids),
    )


def test_records_come_back(tmp_path: Path) -> None:
    log = RecordLog[Outcomes](tmp_path)
    record = Outcomes(model="late", recorded_us=1, outcomes=[Outcome(id="a", value=None, known_us=2)])
    log.append(record)
    assert [found for _, found in recent_records(tmp_path, Outcomes)] == [record]
    log.close()
    (path,) = sealed_segments(tmp_path)
    assert list(records_of(read_segment(path), Outcomes)) == [record]


def test_what_is_no_such_record_is_named(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.write([b"\xc1"])
    with pytest.raises(StoreError, match="could not be decoded"):
        list(recent_records(tmp_path, Outcomes))


def test_every_segment_has_the_layouts_of_its_predictions(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / PREDICTIONS, seal_bytes=400)
    first, second = log.describe(LAYOUT), log.describe(LAYOUT)
    for number in range(20):
        log.append(predictions((first, second)[number % 2], f"{number}"))
    assert len(sealed_segments(tmp_path / PREDICTIONS)) > 3
    found = list(recent_predictions(tmp_path))
    assert [each for _, record in found for each in record.ids] == [f"{number}" for number in range(20)]
    assert {layout.version for layout, _ in found} == {3}
    assert found[0][1].rows[0][1] == datetime(2024, 1, 1, tzinfo=UTC)


def test_layouts_are_told_while_others_seal_and_write(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / PREDICTIONS, seal_bytes=1, seal_after_s=0)
    numbers: list[int] = []

    def write(turn: int) -> None:
        for number in range(60):
            layout = log.describe(LAYOUT)
            numbers.append(layout)
            log.append(predictions(layout, f"{turn}-{number}"))

    threads = [threading.Thread(target=write, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 240
    assert sum(len(record.ids) for _, record in recent_predictions(tmp_path)) == 240
