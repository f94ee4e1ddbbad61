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
from everfit.core.restart_pause import RestartPause
from everfit.runtime.active_launcher import ActiveLauncher
from everfit.runtime.launcher import Launcher

_POLL_S = 0.05
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
        follows: It runs in the active release instead of Everfit's own environment. It ends with code 0 when another
            release is active, and is started in that one.
    """

    name: str
    words: tuple[str, ...]
    descriptors: tuple[int, ...] = ()
    follows: ActiveLauncher | None = None


def worker_specs(listener: int, workers: int, *words: str) -> list[ProcessSpec]:
    """Return the processes of so many prediction workers, with further options as ``words``.

    They share the listener, a socket's descriptor: a worker's death does not drop requests that wait.
    """
    common = "--listener", str(listener), *words
    return [
        ProcessSpec(name=f"worker {slot}", words=("worker", "--slot", str(slot), *common), descriptors=(listener,))
        for slot in range(workers)
    ]


class Supervisor:
    """Runs child processes until SIGTERM or SIGINT."""

    def __init__(self, launcher: Launcher, specs: Sequence[ProcessSpec]) -> None:
        self._launcher = launcher
        self._specs = specs
        self._children: list[_Child] = []
        self._stopping = False

    def run(self, announce: Callable[[], object]) -> int:
        """Start the processes, call ``announce`` once all are ready, and restart those that end, until a signal.

        Return 0, or the exit code of a process that failed at its first start; its log has the reason. A process that
        was killed meanwhile is started again.
        """
        before = {number: signal.signal(number, self._asked_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._run(announce)
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, announce: Callable[[], object]) -> int:
        for spec in self._specs:
            self._children.append(_Child(self._launcher, spec))
        for child in self._children:
            while not child.is_ready(0.2):
                if self._stopping:
                    return 0
                if not child.restart_if_ended():
                    return int(child.process.returncode)
        announce()
        while not self._stopping:
            for child in self._children:
                child.restart_if_ended()
            time.sleep(_POLL_S)
        return 0

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _end(self) -> None:
        log_event(_log, "stopping", "stopping: every process finishes what it has begun")
        for child in self._children:
            child.process.terminate()
        deadline_s = time.monotonic() + _GRACE_S
        for child in self._children:
            child.wait(deadline_s)


class _Child:
    """A supervised process and its restarts."""

    def __init__(self, launcher: Launcher, spec: ProcessSpec) -> None:
        self._launcher = launcher
        self._spec = spec
        self._pause = RestartPause()
        self._start()

    def _start(self) -> None:
        launcher = self._spec.follows.launcher() if self._spec.follows else self._launcher
        self._ready, writer = os.pipe()
        self._was_ready, self._can_start = False, True
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                launcher.command(*self._spec.words, "--ready", str(writer)),
                env=launcher.variables,
                pass_fds=(*self._spec.descriptors, writer),
                # A terminal's Ctrl-C reaches the supervisor alone, which passes it on.
                start_new_session=True,
            )
        finally:
            os.close(writer)
        self._began_s = time.monotonic()
        self._due_s: float | None = None
        name, pid = self._spec.name, self.process.pid
        log_event(_log, "process_started", f"{name} starts as process {pid}", child=name, child_pid=pid)

    def is_ready(self, wait_s: float) -> bool:
        """Wait for the process to be ready; return true if it is, or was before it ended."""
        if not self._was_ready:
            readable, _, _ = select.select([self._ready], [], [], wait_s)
            # The pipe's end without a byte means that the process died.
            self._was_ready = bool(readable) and os.read(self._ready, 1) == b"+"
            if self._was_ready and self._spec.follows:
                self._spec.follows.started()
        return self._was_ready

    def restart_if_ended(self) -> bool:
        """Start the process again after a pause, which doubles unless it had been stable.

        Return false if it ended before it was ready, and would do so again.
        """
        code, now_s = self.process.poll(), time.monotonic()
        if code is None:
            self.is_ready(0.0)
            return True
        if self._due_s is None:
            self._can_start = self._judge(code)
            if self._was_ready and self._spec.follows and code == 0:
                # It makes way for one in another release.
                self._due_s = now_s
                return True
            pause_s = self._pause.after(now_s - self._began_s)
            self._due_s = now_s + pause_s
            name = self._spec.name
            message = f"{name} ended with {code}; another one starts in {pause_s:.1f} s"
            log_event(_log, "process_ended", message, level=logging.ERROR, child=name, code=code)
        elif now_s >= self._due_s:
            os.close(self._ready)
            self._start()
        return self._can_start

    def _judge(self, code: int) -> bool:
        """Return true if a process that ended with a code may be able to start."""
        if self.is_ready(0.0):
            return True
        # One that was killed from outside may.
        return self._spec.follows.failed(code) if self._spec.follows else code < 0

    def wait(self, deadline_s: float) -> None:
        """Wait for the process to end; kill it at a deadline, in seconds as of ``time.monotonic``."""
        try:
            self.process.wait(max(deadline_s - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            message = f"{self._spec.name} did not end in time and is killed"
            log_event(_log, "process_killed", message, level=logging.ERROR, child=self._spec.name)
            self.process.kill()
            self.process.wait()
        os.close(self._ready)
