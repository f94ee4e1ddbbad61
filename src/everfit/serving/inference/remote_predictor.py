"""Execution of a version in the environment of its release, by a child process of the worker."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any
from weakref import finalize

from everfit.core.errors import ProcessError, ProcessKilledError, ProcessStoppedError
from everfit.core.event_log import log_event
from everfit.core.restart_pause import RestartPause
from everfit.serving.inference.predictor_messages import (
    Predicted,
    Raised,
    Ready,
    Reply,
    Start,
    decode_reply,
    encode,
    receive,
    send,
)
from everfit.serving.protocols.json import Row

_START_S = 120.0
"""Longest time to load a package and to prove its runtime."""
_STDERR = 2
_RETRY = "Send the request again in a moment; the service's log says more."

_log = logging.getLogger(__name__)


class RemotePredictor:
    """A version that another interpreter executes, as :class:`everfit.serving.inference.execution.Execution`.

    There is one process, and one request in it at a time. When it ends it is started again; until then, calls raise
    :class:`ProcessError`, as do those that were in it. It ends once this object is no longer used.

    Raises :class:`ProcessError` if the process cannot be started, and what the package raises when it is loaded.

    Args:
        interpreter: The environment's Python.
        folder: The package's folder.
        name: The version, for messages: ``late version 3``.
        limit_s: Longest time for a call; then the process is killed.
        options: Further options of its command.
    """

    is_remote = True

    def __init__(
        self, interpreter: Path, folder: Path, start: Start, *, name: str, limit_s: float, options: Sequence[str] = ()
    ) -> None:
        # Without the present folder on the path, where a project has modules of other versions.
        command = [str(interpreter), "-P", "-m", "everfit", "predictor", "--folder", str(folder), *options]
        self._limit_s = limit_s
        self._process = _Process(command, start, name=name, limit_s=limit_s)
        finalize(self, self._process.close)
        started = self._process.begin()
        self.runtime, self.features = started.runtime, started.features

    def run_one(self, row: Row, looked_up: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        """As :class:`everfit.serving.inference.execution.Execution` promises."""
        values, used = self.run((row,), (looked_up,))
        return values[0], used[0]

    def run(self, rows: Sequence[Row], looked_up: Sequence[Sequence[Any]]) -> tuple[list[Any], list[Sequence[Any]]]:
        """As :class:`everfit.serving.inference.execution.Execution` promises."""
        reply = self._process.call(encode((rows, looked_up)))
        if isinstance(reply, Raised):
            raise reply.exception()
        assert isinstance(reply, Predicted)
        return reply.values, [*reply.used]

    def wait(self) -> None:
        """Wait while the process is started again after it was killed; not while it fails to start by itself."""
        self._process.is_settled.wait(self._limit_s)


class _Process:
    """The process, and the thread that starts it again."""

    def __init__(self, command: Sequence[str], start: Start, *, name: str, limit_s: float) -> None:
        self.is_settled = threading.Event()
        """Set while the process runs, and while it fails to start by itself."""
        self._command = command
        self._start = start
        self._name = f"predictor of {name}"
        self._subject = f"the process that executes {name}"
        self._limit_s = limit_s
        self._lock = threading.Lock()
        """Held during a call."""
        self._connection: socket.socket | None = None
        """``None`` while the process is not ready."""
        self._ends: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        """The running process and its connection, ready or not."""
        self._started: Ready | None = None
        self._problem: Exception = ProcessError("it was not started")
        self._is_closed = False

    def begin(self) -> Ready:
        """Start the process for the first time. Raises what it could not be started for."""
        # The kernel kills the process with the thread that started it, which is why one thread starts them all.
        threading.Thread(target=self._keep_running, name=self._name, daemon=True).start()
        self.is_settled.wait()
        if self._started is None:
            self.close()
            raise self._problem
        return self._started

    def call(self, message: bytes) -> Reply:
        """Send a request and return its reply.

        Raises :class:`ProcessError`: while the process does not run, if it ends, and if it takes too long.
        """
        if not self._lock.acquire(timeout=self._limit_s):
            rule = f"{self._subject} must be free for a request within [serving] answer_seconds"
            raise ProcessStoppedError(rule, value=f"{self._limit_s:g} s", remedy=_RETRY)
        try:
            connection = self._connection
            if connection is None:
                rule = f"{self._subject} must be running, and is started again: {self._problem}"
                raise ProcessError(rule.rstrip("."), remedy=_RETRY)
            try:
                send(connection, message)
                reply: Reply = decode_reply(receive(connection))
            except TimeoutError:
                self._drop("it took too long for a request, and was killed")
                rule = f"{self._subject} must respond within [serving] answer_seconds, and was killed"
                raise ProcessStoppedError(rule, value=f"{self._limit_s:g} s", remedy=_RETRY) from None
            except (OSError, EOFError):
                self._drop("it ended during a request")
                raise ProcessKilledError(f"{self._subject} must not end during a request", remedy=_RETRY) from None
            return reply
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process, which has no request, by closing its connection."""
        self._is_closed = True
        if self._ends is not None:
            _shut(self._ends[1])

    def _drop(self, problem: str) -> None:
        """Kill the process: what it sends later would be taken for the reply to another request."""
        self._problem = ProcessError(problem)
        self._connection = None
        self.is_settled.clear()
        if self._ends is not None:
            self._ends[0].kill()

    def _keep_running(self) -> None:
        pause = RestartPause()
        while not self._is_closed:
            began_s, code = monotonic(), None
            try:
                code = self._run()
                self._problem = ProcessError("it ended, and must keep running", value=f"exit code {code}")
            except Exception as error:  # noqa: BLE001 - whatever a package's library raises on its content
                self._problem = error
                if self._started is None or not isinstance(error, ProcessKilledError):
                    self.is_settled.set()
            if self._is_closed or self._started is None:
                return
            wait_s = pause.after(monotonic() - began_s)
            message = f"{self._name} ended: {self._problem} Another one starts in {wait_s:.1f} s"
            log_event(_log, "process_ended", message, level=logging.ERROR, child=self._name, code=code)
            threading.Event().wait(wait_s)

    def _run(self) -> int | None:
        """Start the process, wait for its end and return its exit code. Raises what it could not be started for."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    [*self._command, "--socket", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    # What the project's code prints belongs to the log.
                    stdout=_STDERR,
                    start_new_session=True,
                )
            self._ends = process, ours
            try:
                if self._is_closed:
                    return None
                started = self._shake_hands(process, ours)
                message = f"{self._name} starts as process {process.pid}"
                log_event(_log, "process_started", message, child=self._name, child_pid=process.pid)
                self._started, self._connection = started, ours
                self.is_settled.set()
                return process.wait()
            finally:
                self.is_settled.clear()
                # Another process may have inherited the other end; this ends the call that waits for it.
                _shut(ours)
                if process.poll() is None:
                    process.kill()
                    process.wait()
                with self._lock:
                    self._connection = self._ends = None

    def _shake_hands(self, process: subprocess.Popen[bytes], connection: socket.socket) -> Ready:
        connection.settimeout(_START_S)
        try:
            send(connection, encode(self._start))
            reply = decode_reply(receive(connection))
        except TimeoutError:
            raise ProcessStoppedError(f"it must be ready within {_START_S:g} seconds") from None
        except (OSError, EOFError):
            code = process.wait()
            kind = ProcessKilledError if code < 0 else ProcessError
            raise kind("it ended before it was ready", value=f"exit code {code}") from None
        connection.settimeout(self._limit_s)
        if isinstance(reply, Raised):
            raise reply.exception()
        assert isinstance(reply, Ready)
        return reply


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_RDWR)
