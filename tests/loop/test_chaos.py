"""Processes are killed wherever it hurts, and the loop still does everything once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.loop.chaos import Life, assert_whole, plan_kills
from tests.loop.parcels import make_champion

LIVES = int(os.environ.get("EVERFIT_TEST_CHAOS", "2"))


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_champion(tmp_path_factory.mktemp("chaos") / "parcels")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(LIVES))
def test_whatever_is_killed_everything_is_done_once(
    champion: Path, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    life = Life(Path(shutil.copytree(champion, tmp_path / "parcels")), plan_kills(seed))
    life.live()
    assert_whole(life)
    record_property("lived", life.seconds)
    record_property("killed", [each.partition(" ")[0] for each in life.done])
    record_property("answered", len(life.callers.answered))
    record_property("unanswered", life.callers.unanswered)
    # Two hundred copies would fill the disk.
    shutil.rmtree(tmp_path / "parcels")
