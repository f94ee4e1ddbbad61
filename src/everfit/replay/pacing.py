"""Speed of a replay: limited by the wall clock and by the controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from everfit.core.clock import to_us
from everfit.core.errors import NotReadyError
from everfit.serving.worker_report import WorkerReport, read_reports
from everfit.store.controller_report import is_alive, read_controller_report
from everfit.store.deployment import DeploymentRecord

Stop = Callable[[], bool]
"""Returns ``True`` once the replay shall end."""

_POLL_S = 0.002
"""Time between two reads of the reports; a read takes a tenth of a millisecond."""
_ALIVE_S = 0.1
"""Time between two checks that the controller's process is there: they take as long as reading its report."""
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
    """Barrier at regular instants: the replay waits until the system has come to rest as of the instant.

    First the service has logged all shadow predictions; then the controller evaluates every model; then everything that
    follows is waited for: orders, transitions of rollouts, and the loading of what is deployed. Rollouts that only wait
    for rows or labels hold nothing up.

    Args:
        patience_s: Longest time to wait at one instant, in seconds of this machine, trainings included.
    """

    def __init__(
        self, state: Path, deployment: DeploymentRecord, *, every: timedelta, start: datetime, patience_s: float
    ) -> None:
        self._state = state
        self._deployment = deployment
        self._every = every
        self.next = start + every
        """The next instant at which it waits."""
        self._patience_s = patience_s

    def require_alive(self) -> None:
        """Make sure that a controller runs. Raises :class:`NotReadyError` if none does."""
        if not self._is_alive():
            raise self._gone()

    def wait_at(self, instant: datetime, stop: Stop) -> None:
        """Wait until the system has come to rest as of an instant, if the instant is due.

        Raises :class:`NotReadyError` if the controller is down and does not restart, or one of them takes too long.
        """
        if instant < self.next:
            return
        began_s = time.monotonic()
        self._wait_for_service(instant, began_s, stop)
        self._wait_for_controller(instant, began_s, stop)
        self._wait_for_service(instant, began_s, stop)
        self.next += self._every

    def _wait_for_controller(self, instant: datetime, began_s: float, stop: Stop) -> None:
        seen_s, checked_s = began_s, began_s
        while not stop():
            report = read_controller_report(self._state)
            if report is not None and report.watched_until_us == to_us(instant) and not report.busy:
                return
            now_s = time.monotonic()
            if now_s - checked_s >= _ALIVE_S:
                checked_s = now_s
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

    def _wait_for_service(self, instant: datetime, began_s: float, stop: Stop) -> None:
        while not stop():
            present = self._deployment.read()
            number = present.number if present is not None else 0
            reports = read_reports(self._state / "workers").values()
            if all(_has_followed(worker, number, instant) for worker in reports if is_alive(worker.pid)):
                return
            if time.monotonic() - began_s > self._patience_s:
                raise NotReadyError(
                    f"the service must load deployment {number} and log its shadow predictions within "
                    f"{self._patience_s:g} s",
                    remedy="See its log, or raise --patience.",
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


def _has_followed(worker: WorkerReport, deployment: int, instant: datetime) -> bool:
    """Return true if a worker serves a deployment, and logged all shadow predictions of requests before an instant."""
    has_shadow = any(version.route == "shadow" for version in worker.loaded)
    logged = worker.reported_us >= to_us(instant) and not worker.shadow_waiting
    return worker.deployment >= deployment and (logged or not has_shadow)
