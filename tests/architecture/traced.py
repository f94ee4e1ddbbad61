"""Files of the package in which functions run, in this process or in one of its own.

``python -m tests.architecture.traced OUT MODULE ARGUMENT…`` runs a module as a script and adds to OUT the files that it
saw when it ends, and on SIGUSR2. On SIGUSR1 it forgets what it has seen.
"""

from __future__ import annotations

import atexit
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tests.architecture.sources import PACKAGE

_seen: set[str] = set()


def _observe(frame: FrameType, event: str, argument: Any) -> None:
    if event == "call" and not frame.f_code.co_name.startswith("<"):
        _seen.add(frame.f_code.co_filename)


def seen() -> set[str]:
    """Files in which a function ran, by their paths inside the package: ``core/clock.py``."""
    paths = [Path(name) for name in _seen.copy()]
    return {path.relative_to(PACKAGE).as_posix() for path in paths if path.is_relative_to(PACKAGE)}


@contextmanager
def observed() -> Iterator[None]:
    """Observe this thread and those that are started meanwhile; then see :func:`seen`."""
    _seen.clear()
    threading.setprofile(_observe)
    sys.setprofile(_observe)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _main() -> None:
    out, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]

    def write(*_: object) -> None:
        with out.open("a") as file:
            file.write("".join(f"{name}\n" for name in seen()))

    signal.signal(signal.SIGUSR1, lambda *_: _seen.clear())
    signal.signal(signal.SIGUSR2, write)
    atexit.register(write)
    with observed():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
