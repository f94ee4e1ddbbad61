"""How fast a replay may go: as the wall clock allows, and never ahead of the controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError
from everfit.store.controller_report import is_alive, read_controller_report

Stop = Callable[[], bool]
"""Whether the replay was asked to end."""

_LOOK_S = 0.01
_RESTART_S = 60.0
"""How long a controller may be gone: its supervisor starts it again."""


class Pace:
    """Lets event time pass ``speed`` times as fast as the wall clock; ``None`` as fast as the system keeps up."""

    def __init__(self, speed: float | None, start: datetime) -> None:
        self._speed = speed
        self._start = start
        self._began_s = time.monotonic()

    def wait_for(self, instant: datetime, stop: Stop) -> None:
        """Return once that instant has come, or the replay was asked to end."""
        if self._speed is None:
            return
        due_s = self._began_s + (instant - self._start).total_seconds() / self._speed
        while (left_s := due_s - time.monotonic()) > 0 and not stop():
            time.sleep(min(left_s, 0.1))


class Controller:
    """Waits for the controller at regular instants, so that it sees each of them before history goes on.

    Args:
        state: The folder with its report.
        every: The event time from one such instant to the next.
        start: Where the replay begins.
        patience_s: How long it may take at one of them, in seconds of this machine: trainings are among it.
    """

    def __init__(self, state: Path, *, every: timedelta, start: datetime, patience_s: float) -> None:
        self._state = state
        self._every = every
        self._next = start + every
        self._patience_s = patience_s

    def require_alive(self) -> None:
        """Make sure that there is one.

        Raises:
            NotReadyError: If there is none.
        """
        if not self._is_alive():
            raise self._gone()

    def wait_at(self, instant: datetime, stop: Stop) -> None:
        """Return once it has looked as of that instant and is busy with nothing, if it is time for it to look.

        Raises:
            NotReadyError: If it is gone and does not come back, or takes too long.
        """
        if instant < self._next:
            return
        self._next += self._every
        began_s = seen_s = time.monotonic()
        while not stop():
            report = read_controller_report(self._state)
            if report is not None and report.watched_until_us >= to_us(instant) and not report.busy:
                return
            now_s = time.monotonic()
            if self._is_alive():
                seen_s = now_s
            elif now_s - seen_s > _RESTART_S:
                raise self._gone()
            if now_s - began_s > self._patience_s:
                raise NotReadyError(
                    f"the controller must have looked as of {instant.isoformat()} within {self._patience_s:g} s",
                    remedy="See its log; give it longer with --patience, or drive the service alone: --no-controller.",
                )
            time.sleep(_LOOK_S)

    def _is_alive(self) -> bool:
        report = read_controller_report(self._state)
        return report is not None and is_alive(report.pid)

    def _gone(self) -> NotReadyError:
        return NotReadyError(
            "a controller must be there to keep pace with",
            place=str(self._state),
            remedy="Start the whole system with 'everfit up --replay', or drive the service alone: --no-controller.",
        )
