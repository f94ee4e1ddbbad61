"""Progress of tasks in other processes, which count their steps in a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from everfit.core.progress import Progress

_EVERY_S = 0.5


@contextmanager
def watched(counts: Path, progress: Progress, name: str) -> Iterator[None]:
    """Report the steps that are counted in a file, 64-bit integers, until the block ends."""
    done, ended = 0, threading.Event()

    def report() -> None:
        nonlocal done
        now = int(np.fromfile(counts, dtype=np.int64).sum())
        if now > done:
            progress.advance(name, now - done)
            done = now

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            report()

    thread = threading.Thread(target=watch, name="backtest-progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    report()
