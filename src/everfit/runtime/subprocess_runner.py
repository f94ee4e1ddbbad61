"""Work in a child process: its memory and time are limited, its crash is an error, and it ends with its parent."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from everfit.core.errors import TrainingError, TrainingKilledError, TrainingStoppedError
from everfit.runtime.launcher import Launcher

_POLL_S, _MEMORY_POLL_S = 0.05, 0.5
_GRACE_S = 5.0
_TAIL_BYTES = 4000
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """Limits of a child process: its time in seconds, and the resident memory of it and its own children in MiB."""

    time_s: float
    memory_mib: float


def run_child(
    launcher: Launcher,
    words: Sequence[str],
    *,
    log: Path,
    limits: ProcessLimits,
    cancelled: Callable[[], str] = lambda: "",
) -> None:
    """Run a command to its end.

    Its standard input is a pipe that is closed when this process ends; then it ends, too (:func:`die_with_parent`).
    Raises :class:`TrainingStoppedError` if it exceeded a limit or was cancelled, :class:`TrainingKilledError` if a
    signal from elsewhere ended it, and :class:`TrainingError` if it ended with a failure otherwise.

    Args:
        words: The command, after ``everfit``.
        log: File that its output is appended to.
        cancelled: Called many times a second; returns the reason why it must stop, or an empty text.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            launcher.command(*words),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=launcher.variables,
            cwd=launcher.root,
            # A terminal's Ctrl-C is not the child's; and what it starts is ended together with it.
            start_new_session=True,
        )
        try:
            _supervise(process, limits, cancelled)
        finally:
            _end(process)
    rule = "the training process must end well; it printed: "
    if process.returncode < 0:
        raise TrainingKilledError(rule + _tail(log), value=f"signal {-process.returncode}")
    if process.returncode > 0:
        raise TrainingError(rule + _tail(log), value=f"exit code {process.returncode}")


def _supervise(process: subprocess.Popen[bytes], limits: ProcessLimits, cancelled: Callable[[], str]) -> None:
    began_s = next_poll_s = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return
        if time.monotonic() - began_s > limits.time_s:
            raise TrainingStoppedError(
                "a training must end within [loop] train_seconds",
                value=f"{limits.time_s:g} s",
                remedy="Allow more, or train on less: fewer trials or rows.",
            )
        # Asking for the memory of all processes below costs milliseconds.
        due = time.monotonic() >= next_poll_s
        used_mib = _memory_mib(process.pid) if due else 0.0
        next_poll_s += _MEMORY_POLL_S if due else 0.0
        if used_mib > limits.memory_mib:
            raise TrainingStoppedError(
                f"a training must fit into [loop] train_memory_mib ({limits.memory_mib:g})",
                value=f"{used_mib:,.0f} MiB",
                remedy="Allow more, or train on fewer rows or columns.",
            )
        if reason := cancelled():
            raise TrainingStoppedError(f"the training was stopped: {reason}")


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
        process.kill()
    process.wait(_GRACE_S)
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    if process.stdin is not None:
        process.stdin.close()


def _tail(log: Path) -> str:
    """Return the last lines of a child's output."""
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        text = file.read().decode(errors="replace")
    return " | ".join(text.strip().splitlines()[-3:]) or "nothing"


def die_with_parent() -> None:
    """In a child: end at once when the parent process is gone, so that nothing is done twice."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
