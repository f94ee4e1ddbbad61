from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError, StoreError
from everfit.store.replay_clock import FollowedClock, LeadingClock

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def test_a_follower_may_be_there_first_and_then_sees_every_step(tmp_path: Path) -> None:
    followed = FollowedClock(tmp_path / "state" / "clock")
    assert not followed.has_begun
    with pytest.raises(NotReadyError, match="everfit replay"):
        followed.now()
    with LeadingClock(tmp_path / "state" / "clock") as leading:
        leading.begin(NOON)
        assert (followed.has_begun, followed.now()) == (True, NOON)
        leading.advance(NOON + timedelta(microseconds=1))
        assert followed.now_us() == to_us(NOON) + 1


def test_time_never_goes_back_within_a_replay_but_another_may_begin_earlier(tmp_path: Path) -> None:
    with LeadingClock(tmp_path / "clock") as leading:
        leading.begin(NOON)
        leading.advance(NOON - timedelta(hours=1))
        assert leading.now() == NOON
    with LeadingClock(tmp_path / "clock") as leading:
        assert leading.now() == NOON
        leading.begin(NOON - timedelta(hours=1))
        assert leading.now() == NOON - timedelta(hours=1)


def test_only_one_leads(tmp_path: Path) -> None:
    with LeadingClock(tmp_path / "clock"), pytest.raises(StoreError, match="only one replay"):
        LeadingClock(tmp_path / "clock")
    with LeadingClock(tmp_path / "clock"):
        pass


def test_another_process_follows(tmp_path: Path) -> None:
    with LeadingClock(tmp_path / "clock") as leading:
        leading.begin(NOON)
        code = (
            "import sys; from pathlib import Path; from everfit.store.replay_clock import FollowedClock\n"
            "clock = FollowedClock(Path(sys.argv[1])); print(clock.now_us(), flush=True); sys.stdin.readline()\n"
            "print(clock.now_us(), flush=True)"
        )
        words = [sys.executable, "-c", code, str(tmp_path / "clock")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert int(other.stdout.readline()) == to_us(NOON)
            leading.advance(NOON + timedelta(hours=1))
            other.stdin.write("\n")
            other.stdin.flush()
            assert int(other.stdout.readline()) == to_us(NOON + timedelta(hours=1))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="clock"):
        FollowedClock(tmp_path / "file" / "clock")
