"""Supervision of child processes: start, restart after a crash, stop."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from everfit.core.event_log import log_event
from everfit.runtime.launcher import Launcher

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_STABLE_S = 30.0
"""A process that ran this long counts as stable."""
_GRACE_S = 40.0
"""Time that processes are given to finish what they have begun, before they are killed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """A process that must always run.

    Args:
        name: In the log, such as ``worker 0``.
        words: Its command, after ``everfit``; ``--ready FD`` is added, and the process writes a byte there once it
            is ready.
        descriptors: File descriptors that it inherits.
    """

    name: str
    words: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


def worker_specs(listener: int, workers: int, *words: str) -> list[ProcessSpec]:
    """Return the processes of the prediction service's workers.

    Args:
        listener: Descriptor of the socket that they share: a worker's death does not drop requests that wait.
        workers: Their number.
        *words: Options for each.
    """
    return [
        ProcessSpec(
            name=f"worker {slot}",
            words=("worker", "--slot", str(slot), "--listener", str(listener), *words),
            descriptors=(listener,),
        )
        for slot in range(workers)
    ]


class Supervisor:
    """Runs child processes until SIGTERM or SIGINT.

    Args:
        launcher: Starts them.
        specs: All of them.
    """

    def __init__(self, launcher: Launcher, specs: Sequence[ProcessSpec]) -> None:
        self._launcher = launcher
        self._slots = [_Slot(spec) for spec in specs]
        self._stopping = False

    def run(self, announce: Callable[[], object]) -> int:
        """Start the processes, and restart those that end, until a signal to stop.

        Args:
            announce: Called once all of them are ready.

        Returns:
            0, or the exit code of a process that failed at its first start; its log has the reason. A process that was
            killed meanwhile is started again.
        """
        before = {number: signal.signal(number, self._asked_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._run(announce)
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, announce: Callable[[], object]) -> int:
        for slot in self._slots:
            self._start(slot)
        for slot in self._slots:
            while not slot.is_ready(0.2):
                if self._stopping:
                    return 0
                code = slot.exit_code()
                if code is None:
                    continue
                if code >= 0:
                    return code
                # Killed from outside: it may well be able to start.
                self._restart_if_ended(slot)
                time.sleep(0.05)
        announce()
        while not self._stopping:
            for slot in self._slots:
                self._restart_if_ended(slot)
            time.sleep(0.05)
        return 0

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _start(self, slot: _Slot) -> None:
        ready, writer = os.pipe()
        try:
            slot.process = subprocess.Popen(  # noqa: S603 - our own command
                self._launcher.command(*slot.spec.words, "--ready", str(writer)),
                env=self._launcher.variables,
                pass_fds=(*slot.spec.descriptors, writer),
                # A terminal's Ctrl-C reaches the supervisor alone, which passes it on.
                start_new_session=True,
            )
        finally:
            os.close(writer)
        slot.began(ready)
        name, pid = slot.spec.name, slot.process.pid
        log_event(_log, "process_started", f"{name} starts as process {pid}", child=name, child_pid=pid)

    def _restart_if_ended(self, slot: _Slot) -> None:
        code = slot.exit_code()
        if code is None:
            return
        now_s = time.monotonic()
        if slot.due_s is None:
            pause_s = slot.pause()
            slot.due_s = now_s + pause_s
            message = f"{slot.spec.name} ended with {code}; another one starts in {pause_s:.1f} s"
            log_event(_log, "process_ended", message, level=logging.ERROR, child=slot.spec.name, code=code)
        elif now_s >= slot.due_s and not self._stopping:
            self._start(slot)

    def _end(self) -> None:
        log_event(_log, "stopping", "stopping: every process finishes what it has begun")
        for slot in self._slots:
            slot.terminate()
        deadline_s = time.monotonic() + _GRACE_S
        for slot in self._slots:
            slot.wait(deadline_s)


class _Slot:
    """A supervised process and its restarts."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.due_s: float | None = None
        self._ready = -1
        self._began_s = 0.0
        self._pause_s = _FIRST_PAUSE_S

    def began(self, ready: int) -> None:
        if self._ready >= 0:
            os.close(self._ready)
        self._ready = ready
        self._began_s = time.monotonic()
        self.due_s = None

    def is_ready(self, wait_s: float) -> bool:
        readable, _, _ = select.select([self._ready], [], [], wait_s)
        # The pipe's end without a byte means that the process died.
        return bool(readable) and os.read(self._ready, 1) == b"+"

    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def pause(self) -> float:
        """Return the wait before the next start: it doubles, unless the process had been stable."""
        if time.monotonic() - self._began_s >= _STABLE_S:
            self._pause_s = _FIRST_PAUSE_S
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return pause_s

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, deadline_s: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(deadline_s - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            message = f"{self.spec.name} did not end in time and is killed"
            log_event(_log, "process_killed", message, level=logging.ERROR, child=self.spec.name)
            self.process.kill()
            self.process.wait()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
