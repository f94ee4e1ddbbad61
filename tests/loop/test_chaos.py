"""Processes are killed wherever it hurts, and the loop still does everything once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.loop.chaos import Life, assert_whole, plan_kills
from tests.loop.parcels import make_champion

RUNS = int(os.environ.get("EVERFIT_TEST_CHAOS", "16"))
"""How many lives; those of a long series were seen with 100."""


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_champion(tmp_path_factory.mktemp("chaos") / "parcels")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RUNS))
def test_whatever_is_killed_everything_is_done_once(
    champion: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    life = Life(Path(shutil.copytree(champion, tmp_path / "parcels")), plan_kills(seed))
    life.live()
    assert_whole(life)
    with capsys.disabled():
        print(f"\nlife {seed}: {life.seconds:.1f} s, killed {', '.join(life.done) or 'nobody'}; "
              f"{len(life.answered):,} answered, {life.unanswered:,} not")  # fmt: skip
    shutil.rmtree(tmp_path / "parcels")
