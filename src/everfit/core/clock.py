"""Clocks that are passed as arguments, so that the live system and a replay run the same code."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Return an aware instant in microseconds since 1970.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return microseconds since 1970 as an instant in UTC.

    >>> from_us(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=us)


class Clock(Protocol):
    """Source of the present time."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def now_us(self) -> int:
        """Return the present instant in microseconds since 1970; cheaper, for the prediction path."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def now_us(self) -> int:
        """Return the present instant in microseconds since 1970."""
        return time.time_ns() // 1000


class FixedClock:
    """A clock that shows the instant that it was set to; for replays and tests."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """Return the instant that it was set to."""
        return self.instant

    def now_us(self) -> int:
        """Return the instant that it was set to, in microseconds since 1970."""
        return to_us(self.instant)
