"""Clock of a replay: one process sets it, all processes of the system read it.

The file holds one native 64-bit word, microseconds since 1970, or zero before a replay begins. A machine reads and
writes such a word as a whole, so that a reader needs neither lock nor system call: it reads the mapped page.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Self

from everfit.core.clock import from_us, to_us
from everfit.core.errors import NotReadyError, StoreError

CLOCK_FILE = "clock"
"""Its name in the folder that holds a project's state."""
_WORD = 8


class FollowedClock:
    """A :class:`everfit.core.clock.Clock` that reads the replay's time. Thread-safe; about 50 ns a call.

    The file is made, as one that has not begun, if it is missing: the system may be started first. Raises
    :class:`StoreError` if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        number = _open(path)
        try:
            self._word = memoryview(mmap.mmap(number, _WORD)).cast("q")
        finally:
            os.close(number)

    @property
    def has_begun(self) -> bool:
        """True once a replay has set it."""
        return self._word[0] != 0

    def now(self) -> datetime:
        """Return the replay's present instant, aware, in UTC. Raises :class:`NotReadyError` if no replay has begun."""
        return from_us(self.now_us())

    def now_us(self) -> int:
        """Return the replay's present instant, in microseconds since 1970.

        Raises :class:`NotReadyError` if no replay has begun.
        """
        us = self._word[0]
        if us:
            return us
        remedy = "Begin one: everfit replay MODEL --from …, or start the system without --replay."
        raise NotReadyError("a system that takes its time from a replay knows none before it begins", remedy=remedy)


def read_clock(path: Path) -> datetime | None:
    """Read a replay's clock once; ``None`` if none has begun. Raises :class:`OSError` if the file cannot be read."""
    us = int.from_bytes(path.read_bytes()[:_WORD], sys.byteorder, signed=True)
    return from_us(us) if us else None


class LeadingClock(FollowedClock):
    """Clock that sets the time for all others, of which a process leads one at a time until the ``with`` block ends.

    Raises :class:`StoreError` if it cannot be opened, or another replay leads it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # Opened once more: the mapped page keeps its own descriptor, and a lock on that would outlive close().
        self._number = _open(path)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._number)
            rule, remedy = "only one replay at a time can lead a system", "Wait until it has ended."
            raise StoreError(rule, value=str(path), remedy=remedy) from error

    def begin(self, instant: datetime) -> None:
        """Begin a replay; it may be earlier than the end of the last one."""
        self._word[0] = to_us(instant)

    def advance(self, instant: datetime) -> None:
        """Set the time, monotonically."""
        self._word[0] = max(self._word[0], to_us(instant))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._number)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(number).st_size < _WORD:
            os.ftruncate(number, _WORD)
    except OSError as error:
        raise StoreError(f"the replay's clock cannot be used: {error}", value=str(path)) from error
    return number
