"""Clock of a replay: one process sets it, all processes of the system read it.

The file holds two native 64-bit words, each in microseconds since 1970: the time, zero before a replay begins; and the
instant at which a replay that runs as fast as it can will wait for the controller next, zero if it does not say. A
machine reads and writes such a word as a whole, so that a reader needs neither lock nor system call: it reads the
mapped page.
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
_TIME, _AWAITED = 0, 1
_SIZE = 2 * _WORD


class FollowedClock:
    """A :class:`everfit.core.clock.Clock` that reads the replay's time. Thread-safe; about 50 ns a call.

    The file is made, as one that has not begun, if it is missing: the system may be started first. Raises
    :class:`StoreError` if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        number = _open(path)
        try:
            self._words = memoryview(mmap.mmap(number, _SIZE)).cast("q")
        finally:
            os.close(number)

    @property
    def has_begun(self) -> bool:
        """True once a replay has set it."""
        return self._words[_TIME] != 0

    @property
    def awaited_us(self) -> int:
        """The instant at which the replay waits for the controller, now or next, in microseconds; 0 if unknown."""
        return self._words[_AWAITED]

    def now(self) -> datetime:
        """Return the replay's present instant, aware, in UTC. Raises :class:`NotReadyError` if no replay has begun."""
        return from_us(self.now_us())

    def now_us(self) -> int:
        """Return the replay's present instant, in microseconds since 1970.

        Raises :class:`NotReadyError` if no replay has begun.
        """
        us = self._words[_TIME]
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
        self._words[_TIME] = to_us(instant)

    def advance(self, instant: datetime) -> None:
        """Set the time, monotonically."""
        self._words[_TIME] = max(self._words[_TIME], to_us(instant))

    def announce_wait(self, instant: datetime) -> None:
        """Announce the next instant at which this process waits for the controller: until then it needs no round."""
        self._words[_AWAITED] = to_us(instant)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._words[_AWAITED] = 0
        os.close(self._number)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(number).st_size < _SIZE:
            os.ftruncate(number, _SIZE)
    except OSError as error:
        raise StoreError(f"the replay's clock cannot be used: {error}", value=str(path)) from error
    return number
