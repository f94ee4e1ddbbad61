"""A version's features as numbers, for the small models that monitoring fits for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from everfit.measures.weighting import Floats

MOST_CATEGORIES = 200
"""The most frequent ones; the others count as missing. Scikit-learn's histograms take 255."""

Codes = dict[str, float]


class FeatureMatrix:
    """Encoding of columns as numbers, without empty ones, learnt from some rows and applied to later ones."""

    def __init__(self, rows: pl.DataFrame, columns: Sequence[str]) -> None:
        forms = {name: None if rows[name].dtype.is_numeric() else _codes(rows[name]) for name in columns}
        self._forms = {name: codes for name, codes in forms.items() if not np.isnan(_numbers(rows[name], codes)).all()}

    @property
    def categorical(self) -> tuple[int, ...]:
        """The places of the columns that hold codes of categories."""
        return tuple(place for place, codes in enumerate(self._forms.values()) if codes is not None)

    def of(self, rows: pl.DataFrame) -> Floats:
        """Rows as float64, shape ``(rows, columns)``; NaN where a value is missing, no number, or never seen before."""
        found = np.empty((rows.height, len(self._forms)))
        for place, (name, codes) in enumerate(self._forms.items()):
            found[:, place] = _numbers(rows[name], codes)
        return found


def _numbers(values: pl.Series, codes: Codes | None) -> Floats:
    if codes is None:
        numbers = values.cast(pl.Float64, strict=False)
    else:
        numbers = values.cast(pl.String).replace_strict(codes, default=None, return_dtype=pl.Float64)
    found: Floats = numbers.fill_null(float("nan")).to_numpy()
    return np.where(np.isinf(found), np.nan, found)


def _codes(values: pl.Series) -> Codes:
    counts = values.cast(pl.String).drop_nulls().value_counts()
    most = counts.sort("count", values.name, descending=[True, False]).head(MOST_CATEGORIES)
    return {text: float(code) for code, text in enumerate(most[values.name])}
