"""What outcomes say of two versions, as bounds that hold however often one looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from everfit.core.rollout import Comparison, Rollout
from everfit.delivery.scoring import ENTRY, Scoring
from everfit.measures.confidence_sequence import upper_sequence
from everfit.measures.design_effect import design_effect
from everfit.measures.row_loss import LOSS_WORDS
from everfit.measures.weighting import Floats

if TYPE_CHECKING:
    import polars as pl

FIRST = 100
"""Rows without which nothing is said: the bounds take means of so many for normal."""
_FEWEST_GROUPS = 20
_FARTHEST = 3.0
"""Errors are clipped at this many times the 95 % quantile of both versions' together."""


def compare_pairs(mature: pl.DataFrame, rollout: Rollout, scoring: Scoring, *, alpha: float) -> Comparison | None:
    """Newcomer and champion on the rows that both answered.

    What makes a row hard makes it hard for both, so that the differences of their losses tell far more than the losses.
    Rows on which the versions do not differ say nothing of who is better; the bound is on the others, and then spread
    over all.

    Args:
        mature: Answers of both as :meth:`Scoring.mature` gives them.
        rollout: Which two.
        scoring: How they are scored.
        alpha: The chance that a newcomer which is no worse is ever said to be.

    Returns:
        ``None`` if there is no such row.
    """
    import polars as pl

    sides = [mature.filter(pl.col("version") == each) for each in (rollout.version, rollout.previous)]
    own, other = (side.unique("id", keep="first", maintain_order=True) for side in sides)
    answers = other.select("id", *scoring.columns)
    pairs = own.join(answers, on="id", suffix="_champion").sort(ENTRY, "id")
    if pairs.is_empty():
        return None
    newcomer, rows = scoring.losses(pairs)
    champion = scoring.losses(pairs, suffix="_champion").values
    if not len(newcomer):
        return None
    newcomer, champion = _clipped(scoring, newcomer, champion)
    differences = newcomer - champion
    differ = differences != 0
    bound = _at_least(differences[differ], _hours(pairs)[rows[differ]], alpha, alike=scoring.alike)
    return Comparison(
        loss=LOSS_WORDS[scoring.kind],
        paired=True,
        rows=pairs.height,
        newcomer=float(newcomer.mean()),
        champion=float(champion.mean()),
        worse_by=float(differences.mean()),
        at_least=None if bound is None else bound * float(differ.mean()),
    )


def compare_arms(mature: pl.DataFrame, rollout: Rollout, scoring: Scoring, *, alpha: float) -> Comparison | None:
    """Canary and champion on the rows that chance, by hash of the id, gave to the one or the other.

    Every row stands for the difference: its loss, beyond what losses were before it, over the chance of having been
    answered by whom it was, with a minus for the champion's. The mean of that is the difference of the two versions'
    losses, and its bound holds at every look. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021 (arXiv
    2103.06476), the doubly robust sequence of randomised experiments, with the mean of losses as its regression.

    Rows of which pairs are made, as for the area under the ROC curve, cannot be compared so.

    Args:
        mature: The answers of the present stage, as for :func:`compare_pairs`.
        rollout: Which two, and the canary's share.
        scoring: How they are scored.
        alpha: As for :func:`compare_pairs`.

    Returns:
        ``None`` if a side has no such row.
    """
    import polars as pl

    treated = (pl.col("version") == rollout.version) & (pl.col("route") == "canary")
    control = (pl.col("version") == rollout.previous) & (pl.col("route") == "champion")
    rows = mature.filter(treated | control)
    is_canary = rows.select(treated.alias("canary"))["canary"].to_numpy()
    if scoring.kind == "pairs" or not 0 < rollout.share < 1 or is_canary.all() or not is_canary.any():
        return None
    losses = scoring.losses(rows).values
    (losses,) = _clipped(scoring, losses)
    before = np.concatenate([losses[:1], losses.cumsum()[:-1] / np.arange(1, len(losses))])
    weight = np.where(is_canary, 1.0 / rollout.share, -1.0 / (1.0 - rollout.share))
    newcomer, champion = float(losses[is_canary].mean()), float(losses[~is_canary].mean())
    enough = is_canary.sum() >= FIRST
    return Comparison(
        loss=LOSS_WORDS[scoring.kind],
        paired=False,
        rows=int(is_canary.sum()),
        newcomer=newcomer,
        champion=champion,
        worse_by=newcomer - champion,
        at_least=(_at_least(weight * (losses - before), _hours(rows), alpha, alike=scoring.alike) if enough else None),
    )


def _at_least(differences: Floats, hours: NDArray[np.int64], alpha: float, *, alike: float) -> float | None:
    """A bound that their mean is above, but for a chance of ``alpha`` at any look; ``None`` from too few.

    Rows of an hour or a day may resemble each other; as many as tell what an independent one would count as one, by
    their mean.
    """
    group = int(np.ceil(max(design_effect(differences, hours), alike)))
    count = len(differences) // group
    first = max(FIRST // group, _FEWEST_GROUPS)
    if count < first:
        return None
    means = differences[: count * group].reshape(count, group).mean(axis=1)
    return -float(upper_sequence(-means, alpha, first=first)[-1])


def _clipped(scoring: Scoring, *losses: Floats) -> tuple[Floats, ...]:
    """Errors have no end; the others have."""
    if scoring.kind != "deviation":
        return losses
    reach = _FARTHEST * float(np.quantile(np.concatenate(losses), 0.95))
    return tuple(np.minimum(each, reach) for each in losses) if reach > 0 else losses


def _hours(rows: pl.DataFrame) -> NDArray[np.int64]:
    hours: NDArray[np.int64] = rows["event_time"].dt.epoch("s").to_numpy() // 3600
    return hours
