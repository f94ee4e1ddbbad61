"""Work in a process of its own: its memory, crashes and time are bounded, and it dies with whoever asked for it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from everfit.core.errors import TrainingError, TrainingKilledError, TrainingStoppedError
from everfit.runtime.launcher import Launcher

_LOOK_S, _MEMORY_LOOK_S = 0.05, 0.5
_GRACE_S = 5.0
_TAIL_BYTES = 4000
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a child may take.

    Args:
        time_s: Seconds.
        memory_mib: Resident memory of it and its own children together, in MiB.
    """

    time_s: float
    memory_mib: float


def run_child(
    launcher: Launcher,
    words: Sequence[str],
    *,
    log: Path,
    limits: Limits,
    cancelled: Callable[[], str] = lambda: "",
) -> None:
    """Run a command to its end.

    It is given a pipe as standard input that ends with this process, and ends itself then (:func:`die_with_parent`).

    Args:
        launcher: How it is started.
        words: The command, after ``everfit``.
        log: What it prints is kept here.
        limits: What it may take.
        cancelled: Asked now and then; says why it must stop, or nothing.

    Raises:
        TrainingStoppedError: If it took too much, or was cancelled.
        TrainingKilledError: If a signal ended it that was not ours.
        TrainingError: If it ended with a failure that it did not explain otherwise.
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
            _attend(process, limits, cancelled)
        finally:
            _end(process)
    rule = "the training process must end well; it printed: "
    if process.returncode < 0:
        raise TrainingKilledError(rule + tail(log), value=f"signal {-process.returncode}")
    if process.returncode > 0:
        raise TrainingError(rule + tail(log), value=f"exit code {process.returncode}")


def _attend(process: subprocess.Popen[bytes], limits: Limits, cancelled: Callable[[], str]) -> None:
    began_s = next_look_s = time.monotonic()
    while True:
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            return
        if time.monotonic() - began_s > limits.time_s:
            raise TrainingStoppedError(
                "a training must end within [loop] train_seconds", value=f"{limits.time_s:g} s",
                remedy="Allow more, or train on less: fewer trials or rows.",
            )  # fmt: skip
        # Asking for the memory of all processes below costs milliseconds.
        due = time.monotonic() >= next_look_s
        used_mib = _memory_mib(process.pid) if due else 0.0
        next_look_s += _MEMORY_LOOK_S if due else 0.0
        if used_mib > limits.memory_mib:
            raise TrainingStoppedError(
                f"a training must fit into [loop] train_memory_mib ({limits.memory_mib:g})",
                value=f"{used_mib:,.0f} MiB",
                remedy="Allow more, or train on fewer rows or columns.",
            )  # fmt: skip
        reason = cancelled()
        if reason:
            raise TrainingStoppedError(f"the training was stopped: {reason}")


def _memory_mib(number: int) -> float:
    """Resident memory of a process and all below it, in MiB; 0 once it is gone."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss / _MIB
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child, and everything that it started."""
    below: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.kill()
    process.wait(_GRACE_S)
    for each in below:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    if process.stdin is not None:
        process.stdin.close()


def tail(log: Path) -> str:
    """The last lines of what a child printed."""
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        text = file.read().decode(errors="replace")
    return " | ".join(text.strip().splitlines()[-3:]) or "nothing"


def die_with_parent() -> None:
    """In a child: end at once when the process that asked for the work is gone, so that nothing is done twice."""
    import threading

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
