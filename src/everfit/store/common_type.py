"""The type in which the values of two types of a column can be kept without loss; pure."""

from __future__ import annotations

import polars as pl

from everfit.store.timestamps import INSTANT

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_EXACT_IN_FLOAT64 = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


def common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The narrowest type that holds every value of both, with the same meaning; ``None`` if there is none.

    It does not depend on the order of its arguments, and ``common_type(x, x)`` is ``x``:

    - a column without any value (Null) takes the other type;
    - integers become the narrowest integer that holds both, numbers otherwise Float64; a 64-bit integer does so only
      where :func:`is_narrowed` values were looked at;
    - text of any kind becomes String; units of time become microseconds; instants of different zones become UTC;
    - an instant without a zone, a date, a boolean and a text are never each other.
    """
    if other in (one, pl.Null):
        return one
    if one == pl.Null:
        return other
    if one.is_numeric() and other.is_numeric():
        return _common_number(one, other)
    if isinstance(one, _TEXT) and isinstance(other, _TEXT):
        return pl.String()
    return _common_time(one, other)


def _common_time(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime):
        if (one.time_zone is None) == (other.time_zone is None):
            return pl.Datetime("us") if one.time_zone is None else INSTANT
    elif isinstance(one, pl.Duration) and isinstance(other, pl.Duration):
        return pl.Duration("us")
    return None


def is_narrowed(have: pl.DataType, wanted: pl.DataType) -> bool:
    """Return whether some values of the first type are not exact in the second: large integers in Float64."""
    return wanted.is_float() and have.is_integer() and have not in _EXACT_IN_FLOAT64


def _common_number(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if not (one.is_integer() and other.is_integer()):
        return pl.Float64()
    if one.is_signed_integer() == other.is_signed_integer():
        return one if _bits(one) >= _bits(other) else other
    signed, unsigned = (one, other) if one.is_signed_integer() else (other, one)
    bits = max(_bits(signed), _bits(unsigned) * 2)
    return {16: pl.Int16(), 32: pl.Int32(), 64: pl.Int64()}.get(bits, pl.Int128())


def _bits(dtype: pl.DataType) -> int:
    return int(str(dtype).removeprefix("UInt").removeprefix("Int"))
