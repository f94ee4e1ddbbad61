"""Work in a child process: its memory and time are limited, its crash is an error, and it ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from everfit.core.errors import ProcessError, ProcessKilledError, ProcessStoppedError

_POLL_S, _MEMORY_POLL_S = 0.05, 0.5
_TERMINATION_S, _GRACE_S = 1.0, 5.0
_TAIL_BYTES = 4000
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """Limits of a child process, and the settings that they come from, for its error."""

    time_s: float
    memory_mib: float
    """Resident memory of it and its own children."""
    time_setting: str
    memory_setting: str


def run_child(
    command: Sequence[str],
    *,
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    limits: ProcessLimits,
    cancelled: Callable[[], str] = lambda: "",
    held: Sequence[int] = (),
) -> None:
    """Run a command to its end.

    Its standard input is a pipe that is closed when this process ends; then it ends, too (:func:`die_with_parent`).
    Raises :class:`ProcessStoppedError` if it exceeded a limit or was cancelled, :class:`ProcessKilledError` if a
    signal from elsewhere ended it, and :class:`ProcessError` if it cannot start or ended with a failure otherwise.

    Args:
        folder: Where it runs.
        variables: All of its environment variables.
        log: File that its output is appended to.
        cancelled: Called many times a second; returns the reason why it must stop, or an empty text.
        held: Open files that it inherits, such as a lock.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # What it printed is read from the open file, since the child may have put another one in its place.
    with log.open("a+b") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=variables,
                cwd=folder,
                pass_fds=held,
                # A terminal's Ctrl-C is not the child's; and what it starts is ended together with it.
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessError(f"the process must be able to start: {error}", value=command[0]) from error
        try:
            _supervise(process, limits, cancelled)
        finally:
            _end(process)
        rule = "the process must end well; it printed: "
        if process.returncode < 0:
            raise ProcessKilledError(rule + _tail(output), value=f"signal {-process.returncode}")
        if process.returncode > 0:
            raise ProcessError(rule + _tail(output), value=f"exit code {process.returncode}")


def _supervise(process: subprocess.Popen[bytes], limits: ProcessLimits, cancelled: Callable[[], str]) -> None:
    began_s = next_poll_s = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return
        if time.monotonic() - began_s > limits.time_s:
            rule = f"the process must end within {limits.time_setting}"
            raise ProcessStoppedError(rule, value=f"{limits.time_s:g} s", remedy="Allow more, or let it do less.")
        # Asking for the memory of all processes below costs milliseconds.
        due = time.monotonic() >= next_poll_s
        used_mib = _memory_mib(process.pid) if due else 0.0
        next_poll_s += _MEMORY_POLL_S if due else 0.0
        if used_mib > limits.memory_mib:
            rule = f"the process must fit into {limits.memory_setting} ({limits.memory_mib:g})"
            raise ProcessStoppedError(rule, value=f"{used_mib:,.0f} MiB", remedy="Allow more, or let it use less.")
        if reason := cancelled():
            raise ProcessStoppedError(f"the process was stopped: {reason}")


def _memory_mib(number: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB; 0 once it is gone."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        for member in (process, *process.children(recursive=True)):
            total += member.memory_info().rss / _MIB
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child process and all its descendants."""
    below: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        # The supervisor of a confined command then ends all that the command started (releases/confined_process.py).
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TERMINATION_S)
        process.kill()
    process.wait(_GRACE_S)
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    for number in psutil.pids():
        # Those whose parent was killed before them are no descendants any more, but still of the session.
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(number) == process.pid:
                os.kill(number, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()


def _tail(output: BinaryIO) -> str:
    """Return the last lines of a child's output."""
    output.seek(max(output.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
    text = output.read().decode(errors="replace")
    return " | ".join(text.strip().splitlines()[-3:]) or "nothing"


def die_with_parent() -> None:
    """In a child: end at once when the parent process is gone, so that nothing is done twice."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
