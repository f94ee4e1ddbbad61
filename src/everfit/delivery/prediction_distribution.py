"""How differently two versions answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from everfit.core.rollout import Likeness
from everfit.measures.kolmogorov_smirnov import kolmogorov_smirnov
from everfit.measures.weighting import Floats

if TYPE_CHECKING:
    import polars as pl

_LEAST_ROWS = 50
_ALPHA = 0.001


def likeness_of(newcomer: pl.DataFrame, champion: pl.DataFrame, *, columns: Sequence[str]) -> Likeness | None:
    """How the answers of two versions are distributed.

    The bound on the distance is that of Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of Massart 1990, which
    holds for every distribution and number of rows. Of several classes the one counts that differs most.

    Args:
        newcomer: Its answers.
        champion: The champion's.
        columns: Those that hold the answers.

    Returns:
        ``None`` where either has fewer than 50.
    """
    sides = [[side[each].drop_nulls().drop_nans().to_numpy() for each in columns] for side in (newcomer, champion)]
    pairs = [(own, other) for own, other in zip(*sides, strict=True) if min(len(own), len(other)) >= _LEAST_ROWS]
    if not pairs:
        return None
    chance = _ALPHA / (2 * len(pairs))
    found = [(_distance(own, other), _reach(len(own), chance) + _reach(len(other), chance)) for own, other in pairs]
    distance, reach = max(found, key=lambda each: each[0] - each[1])
    return Likeness(
        rows=newcomer.height,
        champion_rows=champion.height,
        distance=distance,
        at_least=max(distance - reach, 0.0),
        spread=max(float(own.std()) for own, _ in pairs),
        champion_spread=max(float(other.std()) for _, other in pairs),
    )


def _distance(own: Floats, other: Floats) -> float:
    values, place = np.unique(np.concatenate([other, own]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(values)) for part in (place[: len(other)], place[len(other) :])]
    return kolmogorov_smirnov(*counts)


def _reach(rows: int, alpha: float) -> float:
    """How far a sample's distribution may be from the true one."""
    return math.sqrt(math.log(2.0 / alpha) / (2.0 * rows))
