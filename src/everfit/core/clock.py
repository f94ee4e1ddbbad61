"""Time that is handed in, so that the live system and a replay run the same code."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def now_us(self) -> int:
        """The same in microseconds since 1970; cheaper, for the prediction path."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def now_us(self) -> int:
        """The present instant, in microseconds since 1970."""
        return time.time_ns() // 1000


class FixedClock:
    """A clock that stands still until it is set; for replays and tests."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The instant it was last set to."""
        return self.instant

    def now_us(self) -> int:
        """The instant it was last set to, in microseconds since 1970."""
        return (self.instant - _EPOCH) // _MICROSECOND
