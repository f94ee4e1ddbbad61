"""One form for values: numbers that a model can compute with, and one rule for those that are infinite.

An infinite value is missing, as NaN is, which many tools write for a missing value. It is what a division by zero
leaves behind, no scale has a place for it, and neither JSON nor most estimators take it. So it becomes null wherever
values enter: when a source is read, and where a view or an on-demand transformation has computed them; the prediction
service applies the same rule to values that it computes (:mod:`everfit.artifact.expressions.row_pipeline`).
:func:`count_infinite` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from everfit.definitions.column_types import column_type


def plain_values(schema: Mapping[str, pl.DataType], *, keep_infinite: bool = False) -> list[pl.Expr]:
    """Expressions that bring the columns of a schema into their form, but infinite values if they are kept."""
    found = []
    for column, dtype in schema.items():
        if column_type(dtype).name == "decimal":
            found.append(pl.col(column).cast(pl.Float64))
        elif dtype.is_float() and not keep_infinite:
            found.append(finite(pl.col(column)).alias(column))
    return found


def finite(value: pl.Expr) -> pl.Expr:
    """A column of floats with null where it is infinite or NaN."""
    return pl.when(value.is_finite()).then(value)


def plain_label(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A label in its form; a number that is not finite is no label."""
    if column_type(dtype).name == "decimal":
        return value.cast(pl.Float64)
    return finite(value) if dtype.is_float() else value


def count_infinite(rows: pl.LazyFrame, columns: Iterable[str] | None = None) -> dict[str, int]:
    """Count the infinite values of each column, or of some, of rows with ``keep_infinite``; columns without any are
    left out.
    """
    schema = rows.collect_schema()
    wanted = [name for name in (schema if columns is None else columns) if schema[name].is_float()]
    if not wanted:
        return {}
    counts = rows.select(pl.col(name).is_infinite().sum() for name in wanted).collect(engine="streaming")
    return {name: count for name, count in counts.row(0, named=True).items() if count}
