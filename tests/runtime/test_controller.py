"""Timing of the controller's rounds in a replay."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.serving.test_deployment import wait_for

from everfit.core.clock import to_us
from everfit.runtime.controller import Controller
from everfit.store.leadership import FileLeadership
from everfit.store.replay_clock import FollowedClock, LeadingClock

START = datetime(2013, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Rounds:
    """Rounds that note the replay's time; as of an instant in ``failing`` they have no effect."""

    def __init__(self, clock: FollowedClock) -> None:
        self.made: list[datetime] = []
        self.failing: set[datetime] = set()
        self._clock = clock
        self._done_us = 0

    def begin(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def signs(self) -> tuple[object, ...] | None:
        return (self._clock.now(),) if self._clock.has_begun else None

    def is_awaited(self) -> bool | None:
        if not self._clock.awaited_us:
            return None
        return self._clock.awaited_us <= self._clock.now_us() != self._done_us

    def wants_round(self) -> bool:
        return False

    def round(self) -> None:
        now = self._clock.now()
        self.made.append(now)
        if now not in self.failing:
            self._done_us = to_us(now)

    def makes_way(self) -> bool:
        return False


@contextmanager
def controlled(folder: Path, *, pause_s: float = 0.5) -> Iterator[tuple[LeadingClock, Rounds]]:
    with LeadingClock(folder / "clock") as clock:
        rounds = Rounds(FollowedClock(folder / "clock"))
        controller = Controller(FileLeadership(folder / "lock"), rounds, pause_s=pause_s, in_replay=True)
        thread = threading.Thread(target=controller.run)
        thread.start()
        try:
            yield clock, rounds
        finally:
            controller.stop()
            thread.join()


def test_a_round_is_made_where_the_replay_waits_and_none_on_its_way(tmp_path: Path) -> None:
    with controlled(tmp_path) as (clock, rounds):
        clock.begin(START)
        wait_for(lambda: rounds.made == [START])
        for day in (1, 2):
            clock.announce_wait(START + day * DAY)
            for hour in range(1, 4):  # each rests for longer than the time after which a clock was taken to rest
                clock.advance(START + (day - 1) * DAY + hour * HOUR)
                time.sleep(0.15)
            assert len(rounds.made) == day
            clock.advance(START + day * DAY)
            wait_for(lambda: rounds.made[-1] == START + day * DAY)  # noqa: B023 - called at once
        assert rounds.made == [START, START + DAY, START + 2 * DAY]


def test_a_replay_that_halts_on_its_way_is_attended_to(tmp_path: Path) -> None:
    with controlled(tmp_path) as (clock, rounds):
        clock.begin(START)
        clock.announce_wait(START + DAY)
        clock.advance(START + HOUR)
        wait_for(lambda: rounds.made[-1:] == [START + HOUR])


def test_a_round_is_made_whenever_the_clock_of_a_replay_rests_that_announces_nothing(tmp_path: Path) -> None:
    with LeadingClock(tmp_path / "clock") as clock:
        clock.begin(START)
        clock.announce_wait(START + DAY)
    with controlled(tmp_path) as (clock, rounds):
        assert clock.awaited_us == 0, "the last replay ended"
        clock.advance(START + HOUR)
        wait_for(lambda: rounds.made[-1:] == [START + HOUR])
        clock.advance(START + 2 * HOUR)
        wait_for(lambda: rounds.made[-1:] == [START + 2 * HOUR])


@pytest.mark.parametrize("pause_s", [0.3])
def test_an_awaited_round_that_fails_is_made_again_after_a_pause(tmp_path: Path, pause_s: float) -> None:
    with controlled(tmp_path, pause_s=pause_s) as (clock, rounds):
        rounds.failing.add(START + DAY)
        clock.begin(START)
        clock.announce_wait(START + DAY)
        clock.advance(START + DAY)
        wait_for(lambda: rounds.made[-1:] == [START + DAY])
        began_s, first = time.monotonic(), len(rounds.made)
        wait_for(lambda: len(rounds.made) >= first + 3)
        assert time.monotonic() - began_s > 2 * pause_s
        rounds.failing.clear()
        wait_for(lambda: not rounds.is_awaited())
