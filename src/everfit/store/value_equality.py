"""Equality of values that were computed or stored in different ways: a missing value equals a missing value."""

from __future__ import annotations

import polars as pl

from everfit.store.timestamps import INSTANT


def same_type(recorded: pl.Series, computed: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return two columns in one type: one whose type was guessed from its values, and one that has its own.

    Numbers become Float64 with NaN as null, booleans and instants stay what they are where both are, and all else
    becomes text.
    """
    one, other = recorded.dtype, computed.dtype
    if other.is_numeric() or (other == pl.Boolean and one.is_numeric()):
        return _numbers(recorded), _numbers(computed)
    if one == pl.Null:
        return recorded.cast(other), computed
    if other == pl.Null:
        return recorded, computed.cast(one)
    if one == other == pl.Boolean:
        return recorded, computed
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime) and one.time_zone and other.time_zone:
        return recorded.cast(INSTANT), computed.cast(INSTANT)
    return recorded.cast(pl.String), computed.cast(pl.String)


def differing_columns(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """Return the columns in which two frames with the same columns differ; all if they have other numbers of rows."""
    if one.height != other.height:
        return one.columns
    pairs = {name: same_type(one[name], other[name]) for name in one.columns}
    return [name for name, pair in pairs.items() if not equal_values(*pair).all()]


def equal_values(one: pl.Series, other: pl.Series) -> pl.Series:
    """Return for each row of columns of one type: equal, or numbers that differ by at most ``1e-9`` of their size."""
    equal = one.eq_missing(other)
    if one.dtype != pl.Float64:
        return equal
    pair = pl.DataFrame({"one": one, "other": other})
    first, second = pl.col("one"), pl.col("other")
    near = (first - second).abs() <= 1e-9 * pl.max_horizontal(first.abs(), second.abs())
    # Between the infinite and the finite there is an infinite distance, and an infinite size.
    finite = first.is_finite() & second.is_finite()
    return equal | pair.select((finite & near).fill_null(value=False)).to_series()


def _numbers(values: pl.Series) -> pl.Series:
    return values.cast(pl.Float64, strict=False).fill_nan(None)
