"""Keeps processes alive: starts them, starts them again, and stops them."""

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
_PROVEN_S = 30.0
"""A process that lived this long begins with a clean record."""
_GRACE_S = 40.0
"""How long processes may take to finish what they have begun."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A place for a process that must always be there.

    Args:
        name: For people, such as ``worker 0``.
        words: Its command, after ``everfit``; it is given ``--ready FD`` besides, and writes a byte there once it is
            of use.
        descriptors: What it inherits.
    """

    name: str
    words: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


def worker_posts(listener: int, workers: int, *words: str) -> list[Post]:
    """The posts of the prediction service's workers.

    Args:
        listener: Descriptor of the socket that they share: one's death takes no waiting caller with it.
        workers: How many.
        *words: Options for each.
    """
    return [
        Post(
            name=f"worker {slot}",
            words=("worker", "--slot", str(slot), "--listener", str(listener), *words),
            descriptors=(listener,),
        )
        for slot in range(workers)
    ]


class Supervisor:
    """Runs child processes until SIGTERM or SIGINT.

    Args:
        launcher: How they are started.
        posts: Which there are.
    """

    def __init__(self, launcher: Launcher, posts: Sequence[Post]) -> None:
        self._launcher = launcher
        self._slots = [_Slot(post) for post in posts]
        self._stopping = False

    def run(self, announce: Callable[[], object]) -> int:
        """Start them, and keep them until told to stop.

        Args:
            announce: Called once all of them are of use.

        Returns:
            0, or the exit code of one that could not even start the first time: it has said why. One that was killed
            meanwhile is started again.
        """
        before = {each: signal.signal(each, self._asked_to_stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._run(announce)
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

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
                # Killed from outside: that says nothing of whether it can start.
                self._look_after(slot)
                time.sleep(0.05)
        announce()
        while not self._stopping:
            for slot in self._slots:
                self._look_after(slot)
            time.sleep(0.05)
        return 0

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _start(self, slot: _Slot) -> None:
        ready, tell = os.pipe()
        try:
            slot.process = subprocess.Popen(  # noqa: S603 - our own command
                self._launcher.command(*slot.post.words, "--ready", str(tell)),
                env=self._launcher.variables,
                pass_fds=(*slot.post.descriptors, tell),
                # A terminal's Ctrl-C is the supervisor's to hand on.
                start_new_session=True,
            )
        finally:
            os.close(tell)
        slot.began(ready)
        name, pid = slot.post.name, slot.process.pid
        log_event(_log, "process_started", f"{name} starts as process {pid}", post=name, post_pid=pid)

    def _look_after(self, slot: _Slot) -> None:
        code = slot.exit_code()
        if code is None:
            return
        now_s = time.monotonic()
        if slot.due_s is None:
            pause_s = slot.pause()
            slot.due_s = now_s + pause_s
            message = f"{slot.post.name} ended with {code}; another one starts in {pause_s:.1f} s"
            log_event(_log, "process_ended", message, level=logging.ERROR, post=slot.post.name, code=code)
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
    """A post and who is on it."""

    def __init__(self, post: Post) -> None:
        self.post = post
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
        # The pipe's end without a byte is a worker's death.
        return bool(readable) and os.read(self._ready, 1) == b"+"

    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def pause(self) -> float:
        """How long to wait before the next start: twice as long each time, but for one that had proven itself."""
        if time.monotonic() - self._began_s >= _PROVEN_S:
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
            _log.error("%s did not end in time and is killed", self.post.name)
            self.process.kill()
            self.process.wait()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
