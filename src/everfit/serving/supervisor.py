"""Keeps the service's workers alive: starts them, starts them again, and stops them."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

from everfit.core.errors import SettingsError

_BACKLOG = 2048
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_PROVEN_S = 30.0
"""A worker that lived this long begins with a clean record."""
_GRACE_S = 40.0
"""How long workers may take to answer what was asked."""

_log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that all workers share: one's death takes no waiting caller with it.

    Raises:
        SettingsError: If the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"[serving] host and port must be an address that can be listened on: {error.strerror or error}",
            value=f"{host}:{port}",
            remedy="Choose another port, or 0 for a free one: everfit serve --port 0.",
        ) from error


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Supervisor:
    """Runs workers as child processes until SIGTERM or SIGINT.

    Args:
        command: Starts a worker; it is given ``--slot N --listener FD --ready FD`` besides, and writes a byte to the
            latter once it answers.
        listener: What the workers accept callers from.
        workers: How many.
    """

    def __init__(self, command: Sequence[str], listener: socket.socket, *, workers: int) -> None:
        self._command = tuple(command)
        self._listener = listener
        self._slots = [_Slot(number) for number in range(workers)]
        self._stopping = False

    def run(self, announce: Callable[[], object]) -> int:
        """Start the workers, and keep them until told to stop.

        Args:
            announce: Called once all of them answer.

        Returns:
            0, or the exit code of a worker that could not even start the first time: it has said why.
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
                code = slot.exit_code()
                if code is not None:
                    return code if code > 0 and not self._stopping else 0
                if self._stopping:
                    return 0
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
            words = ["--slot", slot.number, "--listener", self._listener.fileno(), "--ready", tell]
            slot.process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, *map(str, words)],
                pass_fds=(self._listener.fileno(), tell),
                # A terminal's Ctrl-C is the supervisor's to hand on.
                start_new_session=True,
            )
        finally:
            os.close(tell)
        slot.began(ready)

    def _look_after(self, slot: _Slot) -> None:
        code = slot.exit_code()
        if code is None:
            return
        now_s = time.monotonic()
        if slot.due_s is None:
            pause_s = slot.pause()
            slot.due_s = now_s + pause_s
            _log.error("worker %s ended with %s; another one starts in %.1f s", slot.number, code, pause_s)
        elif now_s >= slot.due_s and not self._stopping:
            self._start(slot)

    def _end(self) -> None:
        for slot in self._slots:
            slot.terminate()
        deadline_s = time.monotonic() + _GRACE_S
        for slot in self._slots:
            slot.wait(deadline_s)


class _Slot:
    """A place for a worker."""

    def __init__(self, number: int) -> None:
        self.number = number
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
            _log.error("worker %s did not end in time and is killed", self.number)
            self.process.kill()
            self.process.wait()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
