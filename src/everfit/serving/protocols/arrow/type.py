"""Arrow's column types that a request field can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from everfit.artifact.values import Kind
from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.arrow.flatbuffer import Flat

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_UNITS = ("s", "ms", "us", "ns")
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

    Raises:
        InvalidRequestError: If no request field can hold it.
    """
    number = field.number(2, "B")
    found = field.table(3) or Flat(b"\x04\0\x04\0\x04\0\0\0", 4)  # a table without fields: all defaults
    match number:
        case 2 | 3:
            return _read_number(found, is_integer=number == 2, place=place)
        case 8:
            return _DATES[found.number(0, "h", 1) == 0]
        case 10:
            return _read_timestamp(found, place)
    simple = _SIMPLE.get(number)
    if simple is None:
        raise InvalidRequestError(
            "must be a column of numbers, text, booleans, instants or dates", value=f"Arrow type {number}", place=place
        )
    return simple


def read_index(field: Flat | None, place: str) -> ArrowType:
    """Return the type of a dictionary's indices."""
    return _INTEGERS[32, True] if field is None else _read_number(field, is_integer=True, place=place)


def _read_number(found: Flat, *, is_integer: bool, place: str) -> ArrowType:
    known = _INTEGERS.get((found.number(0, "i"), bool(found.number(1, "B")))) if is_integer else None
    known = known if is_integer else _FLOATS.get(found.number(0, "h"))
    if known is None:
        raise InvalidRequestError("must have numbers of 8 to 64 bits", place=place)
    return known


def _read_timestamp(found: Flat, place: str) -> ArrowType:
    unit = found.number(0, "h")
    if not 0 <= unit < len(_UNITS):
        raise InvalidRequestError("must have instants in s, ms, us or ns", value=unit, place=place)
    if not found.text(1, _LONGEST_ZONE):
        raise InvalidRequestError("must have a time zone", value=f"timestamp[{_UNITS[unit]}]", place=place)
    return ArrowType("instant", f"timestamp[{_UNITS[unit]}]", "fixed", "q", _INSTANTS[unit])


def _from_microseconds(stored: int) -> datetime:
    return _EPOCH + timedelta(0, 0, stored)


def _from_nanoseconds(stored: int) -> datetime:
    microseconds, rest = divmod(stored, 1_000)
    if rest:
        raise ValueError("instants are counted in microseconds")
    return _from_microseconds(microseconds)


_INSTANTS: Sequence[Callable[[int], datetime]] = (
    lambda stored: _from_microseconds(stored * 1_000_000),
    lambda stored: _from_microseconds(stored * 1_000),
    _from_microseconds,
    _from_nanoseconds,
)
"""In the order of :data:`_UNITS`."""


def _from_days(stored: int) -> date:
    return date.fromordinal(_EPOCH_DAY + stored)


def _from_milliseconds(stored: int) -> date:
    days, rest = divmod(stored, _DAY_MS)
    if rest:
        raise ValueError("a date has no time of day")
    return _from_days(days)


_DATES: Mapping[bool, ArrowType] = {
    True: ArrowType("date", "date32", "fixed", "i", _from_days),
    False: ArrowType("date", "date64", "fixed", "q", _from_milliseconds),
}
_INTEGERS: Mapping[tuple[int, bool], ArrowType] = {
    (bits, signed): ArrowType("integer", f"{'' if signed else 'u'}int{bits}", "fixed", code)
    for signed, codes in ((True, "bhiq"), (False, "BHIQ"))
    for bits, code in zip((8, 16, 32, 64), codes, strict=True)
}
_FLOATS: Mapping[int, ArrowType] = {
    place: ArrowType("number", name, "fixed", code)
    for place, (name, code) in enumerate((("float16", "e"), ("float32", "f"), ("float64", "d")))
}
_SIMPLE: Mapping[int, ArrowType] = {
    1: ArrowType("null", "null", "nothing"),
    5: ArrowType("text", "utf8", "text", "i"),
    6: ArrowType("boolean", "bool", "bits"),
    20: ArrowType("text", "large_utf8", "text", "q"),
    24: ArrowType("text", "utf8_view", "views"),
}
