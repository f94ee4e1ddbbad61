"""Reports survive whatever the lake holds: rows with impossible instants, stored before there was a rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from tests.acceptance.shop import everfit


@pytest.mark.slow
def test_reports_survive_instants_that_no_caller_could_send_today(own: Path) -> None:
    from everfit.core.clock import to_us
    from everfit.serving.protocols.json import Request
    from everfit.store.journal_records import Outcome, Outcomes
    from everfit.wiring import open_worker

    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    usual = datetime(2026, 1, 21, tzinfo=UTC)
    asked = [usual + timedelta(minutes=number) for number in range(60)]
    asked += [first, last, datetime(1969, 12, 31, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)]
    worker = open_worker(own)
    worker.load()
    variants, prediction_logger = worker.data_plane.variants("late"), worker.prediction_logger
    rows = [("shop-3", 4.5, instant) for instant in asked]
    ids = [f"id-{number}" for number in range(len(rows))]
    worker.data_plane.predict(variants, Request(rows=rows, ids=ids), began_s=perf_counter())
    known = [to_us(each) for each in (first - timedelta(0), last)] + [-(2**62), 2**62, to_us(usual)]
    outcomes = [Outcome(id=ids[number], value="true", known_us=each) for number, each in enumerate(known)]
    prediction_logger.log_outcomes(Outcomes(model="late", recorded_us=worker.data_plane.now_us(), outcomes=outcomes))
    worker._close()
    for shipped in (False, True):
        if shipped:
            assert everfit(own, "journal", "ship").code == 0
        told = everfit(own, "monitor")
        assert told.code == 0, told.err
        assert "7 rows are left out" in " ".join(told.out.split())
        for id in ("id-0", "id-2", "id-4", "id-60", "id-61", "id-63"):  # noqa: A001 - what it is
            answer = everfit(own, "explain", id)
            assert answer.code == 0, answer.err
        for words in (("status",), ("features", "materialize"), ("features", "parity"), ("journal", "status")):
            answer = everfit(own, *words)
            assert "Traceback" not in answer.err, answer.err
