"""Speed of a replay: limited by the wall clock and by the controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError
from everfit.store.controller_report import is_alive, read_controller_report

Stop = Callable[[], bool]
"""Returns ``True`` once the replay shall end."""

_POLL_S = 0.01
_RESTART_S = 60.0
"""Longest time without a controller; its supervisor restarts it."""


class Pace:
    """Pace of event time: ``speed`` times that of the wall clock; ``None`` does not wait."""

    def __init__(self, speed: float | None, start: datetime) -> None:
        self._speed = speed
        self._start = start
        self._began_s = time.monotonic()

    def wait_for(self, instant: datetime, stop: Stop) -> None:
        """Wait until an instant is reached, or the replay shall end."""
        if self._speed is None:
            return
        due_s = self._began_s + (instant - self._start).total_seconds() / self._speed
        while (left_s := due_s - time.monotonic()) > 0 and not stop():
            time.sleep(min(left_s, 0.1))


class ControllerBarrier:
    """Barrier at regular instants: the replay waits until the controller has evaluated the model as of the instant.

    ``patience_s`` is the longest time to wait at one instant, in seconds of this machine, trainings included.
    """

    def __init__(self, state: Path, *, every: timedelta, start: datetime, patience_s: float) -> None:
        self._state = state
        self._every = every
        self._next = start + every
        self._patience_s = patience_s

    def require_alive(self) -> None:
        """Make sure that a controller runs. Raises :class:`NotReadyError` if none does."""
        if not self._is_alive():
            raise self._gone()

    def wait_at(self, instant: datetime, stop: Stop) -> None:
        """Wait until the controller has evaluated the model as of an instant and is idle, if the instant is due.

        Raises :class:`NotReadyError` if the controller is down and does not restart, or takes too long.
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
                    f"the controller must evaluate the model as of {instant.isoformat()} within {self._patience_s:g} s",
                    remedy="See its log; raise --patience, or replay without a controller: --no-controller.",
                )
            time.sleep(_POLL_S)

    def _is_alive(self) -> bool:
        report = read_controller_report(self._state)
        return report is not None and is_alive(report.pid)

    def _gone(self) -> NotReadyError:
        return NotReadyError(
            "a controller must be running",
            place=str(self._state),
            remedy="Start the system with 'everfit up --replay', or replay without a controller: --no-controller.",
        )
