"""Arrow's column types that a request field can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.arrow.flatbuffer import Flat
from everfit.serving.protocols.tabular_request import Kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_ZONE = 100


class ArrowType(NamedTuple):
    """Layout of a column's buffers, and the conversion of its values."""

    kind: Kind
    name: str
    layout: Literal["nothing", "bits", "fixed", "text", "views"]
    code: str = ""
    """Of :mod:`struct`: the values of ``fixed``, the offsets of ``text``."""
    change: Callable[[Any], Any] | None = None
    """From the stored number to the value; raises ``ValueError`` or ``OverflowError`` if that is lossy."""


def read_type(field: Flat, place: str) -> ArrowType:
    """Return the type of a field of Arrow's schema.

    Raises :class:`InvalidRequestError` if no request field can hold it.
    """
    number = field.number(2, "B")
    found = field.table(3) or Flat(b"\x04\0\x04\0\x04\0\0\0", 4)  # a table without fields: all defaults
    match number:
        case 2:
            return _read_integer(found, place)
        case 3:
            known = _FLOATS.get(found.number(0, "h"))
        case 8:
            known = _DATES.get(found.number(0, "h", 1))
        case 10:
            return _read_timestamp(found, place)
        case _:
            known = _SIMPLE.get(number)
    if known is None:
        rule = "must be a column of numbers, text, booleans, instants or dates"
        raise InvalidRequestError(rule, value=f"Arrow type {number}", place=place)
    return known


def read_index(field: Flat | None, place: str) -> ArrowType:
    """Return the type of a dictionary's indices."""
    return _INTEGERS[32, True] if field is None else _read_integer(field, place)


def _read_integer(found: Flat, place: str) -> ArrowType:
    known = _INTEGERS.get((found.number(0, "i"), bool(found.number(1, "B"))))
    if known is None:
        raise InvalidRequestError("must have numbers of 8 to 64 bits", place=place)
    return known


def _read_timestamp(found: Flat, place: str) -> ArrowType:
    known = _TIMESTAMPS.get(found.number(0, "h"))
    if known is None:
        raise InvalidRequestError("must have instants in s, ms, us or ns", value=found.number(0, "h"), place=place)
    if not found.text(1, _LONGEST_ZONE):
        raise InvalidRequestError("must have a time zone", value=known.name, place=place)
    return known


def _to_instant(stored: int, *, times: int = 1, per_microsecond: int = 1) -> datetime:
    microseconds, rest = divmod(stored * times, per_microsecond)
    if rest:
        raise ValueError("instants are counted in microseconds")
    return _EPOCH + timedelta(0, 0, microseconds)


def _to_date(stored: int, *, per_day: int = 1) -> date:
    days, rest = divmod(stored, per_day)
    if rest:
        raise ValueError("a date has no time of day")
    return date.fromordinal(_EPOCH.toordinal() + days)


def _timestamp(unit: str, change: Callable[[int], datetime]) -> ArrowType:
    return ArrowType("instant", f"timestamp[{unit}]", "fixed", "q", change)


_TIMESTAMPS: Mapping[int, ArrowType] = {
    0: _timestamp("s", partial(_to_instant, times=1_000_000)),
    1: _timestamp("ms", partial(_to_instant, times=1_000)),
    2: _timestamp("us", _to_instant),
    3: _timestamp("ns", partial(_to_instant, per_microsecond=1_000)),
}
_DATES: Mapping[int, ArrowType] = {
    0: ArrowType("date", "date32", "fixed", "i", _to_date),
    1: ArrowType("date", "date64", "fixed", "q", partial(_to_date, per_day=86_400_000)),
}
_INTEGERS: Mapping[tuple[int, bool], ArrowType] = {
    (bits, code.islower()): ArrowType("integer", f"{'' if code.islower() else 'u'}int{bits}", "fixed", code)
    for codes in ("bhiq", "BHIQ")
    for bits, code in zip((8, 16, 32, 64), codes, strict=True)
}
_FLOATS: Mapping[int, ArrowType] = {
    precision: ArrowType("number", f"float{16 * 2**precision}", "fixed", code) for precision, code in enumerate("efd")
}
_SIMPLE: Mapping[int, ArrowType] = {
    1: ArrowType("null", "null", "nothing"),
    5: ArrowType("text", "utf8", "text", "i"),
    6: ArrowType("boolean", "bool", "bits"),
    20: ArrowType("text", "large_utf8", "text", "q"),
    24: ArrowType("text", "utf8_view", "views"),
}
