"""Importance of a model's features, without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_MOST_ROWS = 2_000
"""Rows that it is measured on."""


def measure_importance(
    rows: pl.DataFrame, features: Sequence[str], predict: Callable[[pl.DataFrame], NDArray[np.float64]]
) -> dict[str, float]:
    """Return the mean absolute change of predictions, in their unit, when a feature's values are permuted among rows.

    The model must not have learnt from the rows. Unlike the loss of accuracy of Breiman 2001 ("Random forests") it
    needs no labels; both are discussed by Fisher, Rudin, Dominici 2019, "All models are wrong, but many are useful".
    """
    if rows.is_empty():
        return dict.fromkeys(features, 0.0)
    few = rows.gather_every(max(1, -(-rows.height // _MOST_ROWS)))
    usual = predict(few)
    order = np.random.default_rng(0).permutation(few.height)
    return {name: float(np.abs(predict(few.with_columns(few[name][order])) - usual).mean()) for name in features}
