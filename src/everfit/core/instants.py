"""Range of event times and known times that come from outside, by any protocol.

- Every event time and known time lies in the years 1970 to 2200, UTC.
- Times of the past (a pushed row's event time and known time, an outcome's known time) are at most :data:`AHEAD`
  later than the clock of the service. A prediction's event time may be in the future, as in schedules.

Other instants and dates, such as a date of birth, are features: they only have to be representable.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from everfit.core.clock import from_us, to_us

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2201, 1, 1, tzinfo=UTC)
"""The end of the range, exclusive."""
EARLIEST_DAY, END_DAY = EARLIEST.date(), END.date()
EARLIEST_US, END_US = to_us(EARLIEST), to_us(END)
AHEAD = timedelta(minutes=5)
"""Chosen: clocks of machines without NTP differ by less; a wrong time zone differs by 15 minutes at least."""
AHEAD_US = AHEAD // timedelta(microseconds=1)
YEARS = "must be in the years 1970 to 2200 (UTC)"
HAPPENED = f"{YEARS.capitalize()}, and at most {AHEAD_US // 60_000_000} minutes ahead of the service's clock."
"""The rule for times of the past, as a sentence."""


def is_in_years(instant: datetime | date) -> bool:
    """Return whether an aware instant or a date lies in the years that the rule allows.

    >>> is_in_years(datetime(9999, 12, 31, tzinfo=UTC)), is_in_years(date(1970, 1, 1))
    (False, True)
    """
    if isinstance(instant, datetime):
        return EARLIEST <= instant < END
    return EARLIEST_DAY <= instant < END_DAY


def broken_rule(instant_us: int, *, now_us: int) -> str:
    """Return the rule that a time of the past breaks, as a clause; empty if it breaks none.

    Args:
        instant_us: Microseconds since 1970.
        now_us: The clock of the service, in microseconds since 1970.
    """
    if not EARLIEST_US <= instant_us < END_US:
        return YEARS
    if instant_us > now_us + AHEAD_US:
        minutes = AHEAD_US // 60_000_000
        clock = f"{from_us(now_us):%Y-%m-%dT%H:%M:%SZ}"
        return f"must be at most {minutes} minutes ahead of the service's clock, {clock}"
    return ""
