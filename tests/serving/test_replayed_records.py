"""Records of a service that takes its time from a replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from everfit.core.clock import to_us
from everfit.core.instants import EARLIEST
from everfit.serving.prediction_logger import PredictionLogger
from everfit.store.journal_records import OUTCOMES, PUSHES, Outcome, Outcomes, PushedRows
from everfit.store.segments import read_segment

NOW_US = to_us(EARLIEST) + 1
OUTCOME = Outcomes(model="late", recorded_us=NOW_US, outcomes=[Outcome(id="1", value="true", known_us=NOW_US)])
PUSHED = PushedRows(
    view="shop", recorded_us=NOW_US, keys={"shop": ["a"]}, event_us=[NOW_US], created_us=[NOW_US], features={"x": [1.0]}
)


@pytest.mark.parametrize("in_replay", [False, True])
def test_outcomes_and_pushes_are_written_before_the_response(tmp_path: Path, in_replay: bool) -> None:
    logger = PredictionLogger(tmp_path, durability="batch", seal_after_s=60.0, in_replay=in_replay)

    async def report() -> None:
        logger.log_outcomes(OUTCOME)
        await logger.on_disk()

    asyncio.run(report())
    logger.log_pushed_rows(PUSHED)
    # Whatever kills the process now, the operating system has them.
    for name in (OUTCOMES, PUSHES):
        (segment,) = (tmp_path / name).iterdir()
        assert len(read_segment(segment).frames) == 1
    logger.close()
