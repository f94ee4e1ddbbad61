"""Features of the frames that gates compare: their kinds and missing values."""

from __future__ import annotations

import polars as pl

from everfit.core.evidence import Evidence


def features_of(evidence: Evidence) -> tuple[str, ...]:
    """Return the features that both frames hold, in the estimator's order."""
    return tuple(
        name for name in evidence.features if name in evidence.reference.columns and name in evidence.holdout.columns
    )


def is_category(dtype: pl.DataType) -> bool:
    """Return true if the column's values are names rather than numbers."""
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def missing_shares(frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, float]:
    """Return the share of rows without a value, null or NaN, for each column."""
    if not columns or frame.is_empty():
        return dict.fromkeys(columns, 0.0)
    missing = [
        (pl.col(name).is_null() | pl.col(name).is_nan() if frame.schema[name].is_float() else pl.col(name).is_null())
        .mean()
        .alias(name)
        for name in columns
    ]
    return {name: float(share) for name, share in frame.select(missing).row(0, named=True).items()}
