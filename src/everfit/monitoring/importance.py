"""Feature importance by permutation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from everfit.measures.weighting import Floats

MOST_ROWS = 2_000


def importance(
    rows: pl.DataFrame, features: Sequence[str], predict: Callable[[pl.DataFrame], Floats], *, seed: int = 0
) -> dict[str, float]:
    """Return the mean change of predictions when a feature's values are permuted among the rows.

    Unlike the loss of accuracy of Breiman 2001 ("Random forests") it needs no labels; both are discussed by Fisher,
    Rudin, Dominici 2019, "All models are wrong, but many are useful".

    Args:
        rows: Some that the model did not learn from; beyond :data:`MOST_ROWS`, evenly chosen ones are taken.
        features: The columns.
        predict: From rows to answers, shape ``(rows,)`` or ``(rows, classes)``.
        seed: Of the dealing.

    Returns:
        The mean absolute change of the answer, in the answer's unit, by feature.
    """
    if rows.is_empty():
        return dict.fromkeys(features, 0.0)
    few = rows.gather_every(max(1, -(-rows.height // MOST_ROWS)))
    usual = predict(few)
    order = np.random.default_rng(seed).permutation(few.height)
    return {name: float(np.abs(predict(few.with_columns(few[name][order])) - usual).mean()) for name in features}
