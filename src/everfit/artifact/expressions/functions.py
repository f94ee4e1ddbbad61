"""Polars' functions of one row's values in plain Python; none is called with a null."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from everfit.artifact.expressions.expression_types import INTEGERS, NUMBERS, SIGNED, Untranslatable, sign_offset

Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]

_MICROSECOND = timedelta(microseconds=1)
_UNIT_US = {
    "TotalDays": 86_400_000_000,
    "TotalHours": 3_600_000_000,
    "TotalMinutes": 60_000_000,
    "TotalSeconds": 1_000_000,
    "TotalMilliseconds": 1_000,
    "TotalMicroseconds": 1,
}


def unary(name: str, kind: str, *, fractional: bool) -> tuple[Unary, str]:
    """Return the function of one value of a type, and the type of its result; ``fractional`` is for durations alone.

    Raises :class:`Untranslatable` if it is not known.
    """
    if name in _UNIT_US and kind == "duration":
        return _total(_UNIT_US[name], fractional=fractional), "f64" if fractional else "i64"
    if name in ("Floor", "Ceil") and kind in INTEGERS:
        return (lambda value: value), kind
    if name in ("Abs", "Negate") and kind in SIGNED:
        operate, wrapped = _UNARY[name][2], wrap(kind)
        return (lambda value: wrapped(operate(value))), kind
    kinds, result, function = _UNARY.get(name, (frozenset(), "", operator.not_))
    if kind not in kinds:
        raise Untranslatable(f"{name} of {kind}")
    return function, result


def binary(name: str, left: str, right: str) -> tuple[Binary, str]:
    """Return the function of two values of two types, and the type of its result.

    Raises :class:`Untranslatable` if it is not known.
    """
    lefts, rights, result, function = _BINARY.get(name, (frozenset(), frozenset(), "", operator.eq))
    if left not in lefts or right not in rights:
        raise Untranslatable(f"{name} of {left} and {right}")
    return function, result


def _total(size_us: int, *, fractional: bool) -> Unary:
    """Return the whole or fractional number of units in a duration, cut towards zero."""

    def whole(value: timedelta) -> int:
        us = value // _MICROSECOND
        return us // size_us if us >= 0 else -(-us // size_us)

    return (lambda value: (value // _MICROSECOND) / size_us) if fractional else whole


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


def _sqrt(value: float) -> float:
    return math.sqrt(value) if value >= 0 else math.nan


def _log(value: float, base: float) -> float:
    """Return the logarithm as Polars computes it: with IEEE 754's results at and below zero."""
    top, bottom = _ln(value), _ln(base)
    return top if bottom == 1 else divide(top, bottom)


def _power(value: float, exponent: float) -> float:
    """Return IEEE 754's pow, where Python raises or returns a complex number; the half power is Polars' square root."""
    if exponent == 0.5:
        return _sqrt(value)
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


def _round_up(value: float) -> float:
    """Return the ceiling of a float, as a float; infinities and NaN stay."""
    return float(math.ceil(value)) if math.isfinite(value) else value


def wrap(kind: str) -> Callable[[int], int]:
    """Return the function that wraps around on overflow: modulo 2 to the bits of an integer type."""
    mask, offset = 2 ** INTEGERS[kind] - 1, sign_offset(kind)
    return lambda value: ((value + offset) & mask) - offset


FLOAT_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "Eq": lambda one, other: one == other or (one != one and other != other),  # noqa: PLR0124
    "NotEq": lambda one, other: not (one == other or (one != one and other != other)),  # noqa: PLR0124
    "Lt": lambda one, other: one < other or (one == one and other != other),  # noqa: PLR0124
    "LtEq": lambda one, other: one <= other or other != other,  # noqa: PLR0124
    "Gt": lambda one, other: one > other or (one != one and other == other),  # noqa: PLR0124
    "GtEq": lambda one, other: one >= other or one != one,  # noqa: PLR0124
}
"""The comparisons of floats in Polars' total order: NaN equals NaN and is greater than every number."""

_FLOAT, _TEXT = frozenset({"f64"}), frozenset({"str"})
_INSTANT, _CALENDAR = frozenset({"instant"}), frozenset({"instant", "date"})

_UNARY: Mapping[str, tuple[frozenset[str], str, Unary]] = {
    "Not": (frozenset({"bool"}), "bool", operator.not_),
    "IsNan": (_FLOAT, "bool", math.isnan),
    "IsNotNan": (_FLOAT, "bool", lambda value: not math.isnan(value)),
    "Abs": (_FLOAT, "f64", operator.abs),
    "Negate": (_FLOAT, "f64", operator.neg),
    "Floor": (_FLOAT, "f64", round_down),
    "Ceil": (_FLOAT, "f64", _round_up),
    "Exp": (NUMBERS, "f64", _exp),
    "Log1p": (NUMBERS, "f64", _log1p),
    "Sqrt": (NUMBERS, "f64", _sqrt),
    "Sin": (NUMBERS, "f64", _periodic(math.sin)),
    "Cos": (NUMBERS, "f64", _periodic(math.cos)),
    "Tan": (NUMBERS, "f64", _periodic(math.tan)),
    "Hour": (_INSTANT, "i8", lambda value: value.hour),
    "Minute": (_INSTANT, "i8", lambda value: value.minute),
    "Second": (_INSTANT, "i8", lambda value: value.second),
    "Date": (_INSTANT, "date", lambda value: value.date()),
    "Day": (_CALENDAR, "i8", lambda value: value.day),
    "WeekDay": (_CALENDAR, "i8", lambda value: value.isoweekday()),
    "Week": (_CALENDAR, "i8", lambda value: value.isocalendar()[1]),
    "Month": (_CALENDAR, "i8", lambda value: value.month),
    "Quarter": (_CALENDAR, "i8", lambda value: (value.month + 2) // 3),
    "OrdinalDay": (_CALENDAR, "i16", lambda value: value.timetuple().tm_yday),
    "Year": (_CALENDAR, "i32", lambda value: value.year),
    "Lowercase": (_TEXT, "str", str.lower),
    "Uppercase": (_TEXT, "str", str.upper),
    "LenChars": (_TEXT, "u32", len),
    "LenBytes": (_TEXT, "u32", lambda value: len(value.encode())),
}
"""Types of the operand, type of Polars' result, and function: with IEEE 754's results where :mod:`math` raises."""

_BINARY: Mapping[str, tuple[frozenset[str], frozenset[str], str, Binary]] = {
    "StartsWith": (_TEXT, _TEXT, "bool", str.startswith),
    "EndsWith": (_TEXT, _TEXT, "bool", str.endswith),
    "Contains": (_TEXT, _TEXT, "bool", lambda text, piece: piece in text),
    "Log": (NUMBERS, NUMBERS, "f64", _log),
    "Generic": (_FLOAT, NUMBERS, "f64", _power),
}
"""Types of both operands, type of Polars' result, and function; ``Generic`` is the power."""
