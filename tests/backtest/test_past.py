"""What a backtest takes for known at an instant is what a training frame that is built then holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.acceptance.shop import DEFINITIONS, make_project, orders

from everfit.backtest.past import Past
from everfit.core.clock import SystemClock
from everfit.features.history import build_frame
from everfit.system import System
from everfit.wiring import open_system

FIRST = orders(1)["ordered_at"][0]
CREATED = DEFINITIONS.replace('timestamp="ordered_at")', 'timestamp="ordered_at", created="stored_at")')
WINDOW = DEFINITIONS.replace('slices=["shop"],', 'slices=["shop"], history="4d",')


def past_of(folder: Path, definitions: str, data: pl.DataFrame) -> tuple[System, Past]:
    system = open_system(make_project(folder, definitions=definitions, data=data))
    end = FIRST + timedelta(days=30)
    return system, Past.read(system.project.model("late"), system.reader, end=end, as_of=SystemClock().now())


@pytest.fixture(scope="module", params=["plain", "window", "created"])
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[System, Past]:
    definitions = {"plain": DEFINITIONS, "window": WINDOW, "created": CREATED}[request.param]
    # Labels of very different delay, and some that are missing.
    data = orders(800).with_columns(
        pl.col("ordered_at") + pl.duration(minutes=pl.int_range(pl.len()) * 37 % 3_000 + 1).alias("delivered_at"),
        pl.when(pl.int_range(pl.len()) % 11 > 0).then("late").alias("late"),
    )
    late = pl.duration(hours=pl.int_range(pl.len()) % 50)
    data = data.with_columns((pl.col("ordered_at") + late).alias("stored_at"))
    return past_of(tmp_path_factory.mktemp("past") / request.param, definitions, data)


@settings(max_examples=15, deadline=None)
@given(minutes=st.integers(24 * 60, 9 * 24 * 60))
def test_a_frame_is_that_which_was_built_then(known: tuple[System, Past], minutes: int) -> None:
    system, past = known
    model, instant = system.project.model("late"), FIRST + timedelta(minutes=minutes)
    ours, theirs = past.frame_at(model, instant), build_frame(model, system.reader, as_of=instant)
    assert_frame_equal(ours.data, theirs.data)
    assert ours.features == theirs.features
    assert (ours.manifest.digest, ours.manifest.labelled) == (theirs.manifest.digest, theirs.manifest.labelled)
    assert (ours.manifest.start, ours.manifest.history) == (theirs.manifest.start, theirs.manifest.history)


def test_places_and_instants_agree(known: tuple[System, Past]) -> None:
    _, past = known
    instant: datetime = past.rows["event_time"][100]
    assert past.place(instant) == 100
    assert past.place(instant + timedelta(microseconds=1)) == 101
    assert past.place(FIRST - timedelta(days=1)) == 0
