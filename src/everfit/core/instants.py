"""Range of event times and known times that come from outside, by any protocol.

- Every event time and known time lies in the years 1970 to 2200, UTC.
- Times of the past (a pushed row's event time and known time, an outcome's known time) are at most :data:`AHEAD`
  later than the clock of the service. A prediction's event time may be in the future, as in schedules.

Other instants and dates, such as a date of birth, are features: they only have to be representable.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from everfit.core.clock import from_us, to_us

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2201, 1, 1, tzinfo=UTC)
"""The end of the range, exclusive."""
EARLIEST_DAY, END_DAY = EARLIEST.date(), END.date()
AHEAD = timedelta(minutes=5)
"""Chosen: clocks of machines without NTP differ by less; a wrong time zone differs by 15 minutes at least."""
AHEAD_US = AHEAD // timedelta(microseconds=1)
YEARS = "must be in the years 1970 to 2200 (UTC)"
HAPPENED = f"{YEARS.capitalize()}, and at most {AHEAD_US // 60_000_000} minutes ahead of the service's clock."
"""The rule for times of the past, as a sentence."""


def broken_rule(instant_us: int, *, now_us: int) -> str:
    """Return the rule that a time of the past breaks by the service's clock, as a clause; empty if it breaks none."""
    if not to_us(EARLIEST) <= instant_us < to_us(END):
        return YEARS
    if instant_us > now_us + AHEAD_US:
        clock = f"{from_us(now_us):%Y-%m-%dT%H:%M:%SZ}"
        return f"must be at most {AHEAD_US // 60_000_000} minutes ahead of the service's clock, {clock}"
    return ""
