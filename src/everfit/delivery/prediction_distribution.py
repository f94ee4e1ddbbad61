"""Distance between the distributions of two versions' predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from everfit.core.rollout import PredictionDistance
from everfit.measures.distances import kolmogorov_smirnov
from everfit.measures.weighting import Floats

_LEAST_ROWS = 50
_ALPHA = 0.001


def prediction_distance(
    challenger: pl.DataFrame, champion: pl.DataFrame, *, columns: Sequence[str]
) -> PredictionDistance | None:
    """Compare the distributions of two versions' predictions.

    The bound on the distance is that of Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of Massart 1990, which
    holds for every distribution and number of rows. Of several classes the one that differs most counts.

    Args:
        challenger: Its predictions, in ``columns``.
        champion: The champion's.

    Returns:
        ``None`` where either has fewer than 50.
    """
    sides = [[side[name].drop_nulls().drop_nans().to_numpy() for name in columns] for side in (challenger, champion)]
    pairs = [(own, other) for own, other in zip(*sides, strict=True) if min(len(own), len(other)) >= _LEAST_ROWS]
    if not pairs:
        return None
    alpha = _ALPHA / (2 * len(pairs))
    found = [(_distance(own, other), _error(len(own), alpha) + _error(len(other), alpha)) for own, other in pairs]
    distance, error = max(found, key=lambda pair: pair[0] - pair[1])
    return PredictionDistance(
        rows=challenger.height,
        champion_rows=champion.height,
        distance=distance,
        at_least=max(distance - error, 0.0),
        spread=max(float(own.std()) for own, _ in pairs),
        champion_spread=max(float(other.std()) for _, other in pairs),
    )


def _distance(own: Floats, other: Floats) -> float:
    values, place = np.unique(np.concatenate([other, own]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(values)) for part in (place[: len(other)], place[len(other) :])]
    return kolmogorov_smirnov(*counts)


def _error(rows: int, alpha: float) -> float:
    """Return the largest distance of a sample's distribution from the true one, with probability 1 - alpha."""
    return math.sqrt(math.log(2.0 / alpha) / (2.0 * rows))
