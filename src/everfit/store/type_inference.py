"""Inference of a column's type from its values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from everfit.store.timestamps import INSTANT


def untyped_column(name: str, values: Sequence[object]) -> pl.Series:
    """Return a column in the type that its values have in common; it never fails.

    Numbers are Float64, also whole ones and those among booleans: the next rows may hold a fraction. Booleans are
    Boolean, text is String, instants are ``Datetime("us", "UTC")``. Where nothing but nulls says anything, the type is
    Null; where values have nothing in common, all become text.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int, float, bool}:
        return pl.Series(name, [None if value is None else _number(value) for value in values], dtype=pl.Float64)
    if kinds == {datetime}:
        return pl.Series(name, values, dtype=INSTANT)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
