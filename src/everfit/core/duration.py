"""Durations as text: ``90s``, ``15m``, ``3h``, ``30d``, ``2w``."""

from __future__ import annotations

import re
from datetime import timedelta

from everfit.core.errors import DefinitionError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TERM = re.compile(r"(\d+)(ms|s|m|h|d|w)")


def parse_duration(text: str | timedelta, *, name: str = "duration") -> timedelta:
    """Return a positive duration. Raises :class:`DefinitionError` if it is none.

    Args:
        text: One or more terms of a whole number and a unit (``ms s m h d w``), largest first: ``"1d12h"``.
        name: Name of the argument, for the error message.

    >>> parse_duration("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(text, timedelta):
        span = text
    else:
        terms = _TERM.findall(text) if isinstance(text, str) else []
        is_whole = "".join(map("".join, terms)) == text
        span = timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in terms) if is_whole else 0)
    if span <= timedelta(0):
        raise DefinitionError(f"{name} must be a positive duration such as '3h'", value=text)
    return span


def format_duration(span: timedelta) -> str:
    """Return a duration as text, with as few terms as it needs.

    >>> format_duration(timedelta(hours=36))
    '1d12h'
    """
    left_ms = round(span.total_seconds() * 1000)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left_ms = divmod(left_ms, round(_SECONDS[unit] * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_roughly(span: timedelta) -> str:
    """Return a duration as text for a sentence: its two largest terms.

    >>> format_roughly(timedelta(days=3, hours=4, minutes=59))
    '3d4h'
    """
    terms = [number + unit for number, unit in _TERM.findall(format_duration(span))]
    return "".join(terms[:2]) or "0s"
