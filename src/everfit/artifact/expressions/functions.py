"""Polars' functions of one row's values in plain Python; none is called with a null."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

Unary = Callable[[Any], Any]

_MICROSECOND = timedelta(microseconds=1)
_UNIT_US = {
    "TotalDays": 86_400_000_000,
    "TotalHours": 3_600_000_000,
    "TotalMinutes": 60_000_000,
    "TotalSeconds": 1_000_000,
    "TotalMilliseconds": 1_000,
    "TotalMicroseconds": 1,
}

TEMPORAL: Mapping[str, tuple[str, Unary]] = {
    "Hour": ("i8", lambda value: value.hour),
    "Minute": ("i8", lambda value: value.minute),
    "Second": ("i8", lambda value: value.second),
    "Day": ("i8", lambda value: value.day),
    "WeekDay": ("i8", lambda value: value.isoweekday()),
    "Week": ("i8", lambda value: value.isocalendar()[1]),
    "Month": ("i8", lambda value: value.month),
    "Quarter": ("i8", lambda value: (value.month + 2) // 3),
    "OrdinalDay": ("i16", lambda value: value.timetuple().tm_yday),
    "Year": ("i32", lambda value: value.year),
}
"""The parts of dates and instants, with the width of Polars' result. The week starts on Monday, which is 1."""

TEXT: Mapping[str, tuple[str, Unary]] = {
    "Lowercase": ("str", str.lower),
    "Uppercase": ("str", str.upper),
    "LenChars": ("u32", len),
    "LenBytes": ("u32", lambda value: len(value.encode())),
}

TEXT_PAIRS: Mapping[str, Callable[[str, str], bool]] = {
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
}


def total(unit: str, *, fractional: bool) -> Unary | None:
    """Return the whole or fractional number of units in a duration, cut towards zero; ``None`` for an unknown unit."""
    size = _UNIT_US.get(unit)
    if size is None:
        return None

    def whole(value: timedelta) -> int:
        us = value // _MICROSECOND
        return us // size if us >= 0 else -(-us // size)

    return (lambda value: (value // _MICROSECOND) / size) if fractional else whole


def _ln(value: float) -> float:
    if value > 0:
        return math.log(value)
    return -math.inf if value == 0 else math.nan


def _log1p(value: float) -> float:
    if value > -1:
        return math.log1p(value)
    return -math.inf if value == -1 else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _periodic(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: function(value) if math.isfinite(value) else math.nan


REAL: Mapping[str, Callable[[float], float]] = {
    "Log1p": _log1p,
    "Exp": _exp,
    "Sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
    "Sin": _periodic(math.sin),
    "Cos": _periodic(math.cos),
    "Tan": _periodic(math.tan),
}
"""From float to float, with IEEE 754's results where :mod:`math` raises."""


def log(value: float, base: float) -> float:
    """Return the logarithm as Polars computes it: with IEEE 754's results at and below zero."""
    top, bottom = _ln(value), _ln(base)
    return top if bottom == 1 else divide(top, bottom)


def power(value: float, exponent: float) -> float:
    """Return IEEE 754's pow, where Python raises or returns a complex number; the half power is Polars' square root."""
    if exponent == 0.5:
        return REAL["Sqrt"](value)
    try:
        return math.pow(value, exponent)
    except OverflowError:
        return -math.inf if value < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.inf if value == 0 else math.nan


def divide(one: float, other: float) -> float:
    """Return IEEE 754's quotient."""
    try:
        return one / other
    except ZeroDivisionError:
        if one == 0 or math.isnan(one):
            return math.nan
        return math.copysign(math.inf, one) * math.copysign(1.0, other)


def round_down(value: float) -> float:
    """Return the floor of a float, as a float; infinities and NaN stay."""
    return float(math.floor(value)) if math.isfinite(value) else value


def round_up(value: float) -> float:
    """Return the ceiling of a float, as a float; infinities and NaN stay."""
    return float(math.ceil(value)) if math.isfinite(value) else value


def wrap(bits: int, *, signed: bool) -> Callable[[int], int]:
    """Return the function that wraps around on overflow: modulo 2 to the bits."""
    mask, half = (1 << bits) - 1, (1 << (bits - 1)) if signed else 0
    return lambda value: ((value + half) & mask) - half


def float_order(name: str) -> Callable[[float, float], bool]:
    """Return the comparison of floats in Polars' total order: NaN equals NaN and is greater than every number.

    Args:
        name: ``Eq``, ``NotEq``, ``Lt``, ``LtEq``, ``Gt`` or ``GtEq``.
    """
    orders: Mapping[str, Callable[[float, float], bool]] = {
        "Eq": lambda one, other: one == other or (one != one and other != other),  # noqa: PLR0124
        "NotEq": lambda one, other: not (one == other or (one != one and other != other)),  # noqa: PLR0124
        "Lt": lambda one, other: one < other or (one == one and other != other),  # noqa: PLR0124
        "LtEq": lambda one, other: one <= other or other != other,  # noqa: PLR0124
        "Gt": lambda one, other: one > other or (one != one and other == other),  # noqa: PLR0124
        "GtEq": lambda one, other: one >= other or one != one,  # noqa: PLR0124
    }
    return orders[name]
