"""The champion's part of its training window before a candidate's hold-out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.training.world import START, make_model

from everfit.features.history import build_frame
from everfit.loop.champion_predictions import learning_start
from everfit.store.reader import Reader

READER = Reader(Path(), {})
HOUR = timedelta(hours=1)
AS_OF = START + 100 * HOUR
"""All 600 events, six an hour."""


@pytest.mark.parametrize(
    ("candidate", "champion", "begins"),
    [
        (None, None, START),
        ("50h", "50h", AS_OF - 50 * HOUR),
        # The newest label is that of an event an hour ago.
        (300, 300, AS_OF - HOUR - 299 * HOUR / 6),
        ("50h", None, None),
        # Of its 50 hours the candidate has 40 before the hold-out, four fifths.
        ("50h", "10h", AS_OF - 10 * HOUR - 8 * HOUR),
        ("50h", "60h", AS_OF - 10 * HOUR - 48 * HOUR),
        (None, "50h", AS_OF - 10 * HOUR - 45 * HOUR),
        ("50h", 300, AS_OF - 11 * HOUR - 239 * HOUR / 6),
        (None, 10_000, None),
        ("all", 10_000, START),
    ],
)
def test_as_large_a_part_of_its_own_window(
    candidate: str | int | None, champion: str | int | None, begins: object
) -> None:
    asked = build_frame(make_model(history=candidate), READER, as_of=AS_OF).manifest
    assert learning_start(make_model(history=champion), READER, asked, AS_OF - 10 * HOUR) == begins
