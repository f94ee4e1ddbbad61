"""Loss comparison of two versions by labels, with confidence bounds that hold at all times simultaneously."""

from __future__ import annotations

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from everfit.core.rollout import LossComparison, Rollout
from everfit.delivery.scoring import ENTRY, Scoring
from everfit.measures.confidence import upper_sequence
from everfit.measures.overdispersion import design_effect
from everfit.measures.row_loss import LOSS_WORDS
from everfit.measures.weighting import Floats

_FIRST = 100
"""Fewest rows with a bound: the bounds assume that means of this many are normal."""
_FEWEST_GROUPS = 20
_FARTHEST = 3.0
"""Errors are clipped at this many times the 95 % quantile of both versions' together; chosen."""


def compare_pairs(mature: pl.DataFrame, rollout: Rollout, scoring: Scoring, *, alpha: float) -> LossComparison | None:
    """Compare challenger and champion on the rows that both predicted.

    A row that is hard for one version is hard for the other, so that the variance of their losses' differences is far
    smaller than that of the losses. Rows on which the versions do not differ carry no information; the bound is on the
    others, and then spread over all. Returns ``None`` if there is no such row.

    Args:
        mature: Predictions of both as :meth:`Scoring.mature` returns them.
        alpha: Probability that a challenger which is no worse is ever found worse, and that one which is no better is
            ever found better.
    """
    own, other = (
        mature.filter(pl.col("version") == version).unique("id", keep="first", maintain_order=True)
        for version in (rollout.version, rollout.previous)
    )
    pairs = own.join(other.select("id", *scoring.columns), on="id", suffix="_champion").sort(ENTRY, "id")
    if pairs.is_empty():
        return None
    challenger, rows = scoring.losses(pairs)
    if not len(challenger):
        return None
    challenger, champion = _clipped(scoring, challenger, scoring.losses(pairs, suffix="_champion").values)
    differences = challenger - champion
    differ = differences != 0
    share, hours = float(differ.mean()), _hours(pairs)[rows[differ]]
    least, most = (_lower_bound(sign * differences[differ], hours, alpha, scoring) for sign in (1, -1))
    return replace(
        _comparison(scoring, challenger, champion, paired=True, rows=pairs.height),
        at_least=None if least is None else least * share,
        at_most=None if most is None else -most * share,
    )


def compare_arms(mature: pl.DataFrame, rollout: Rollout, scoring: Scoring, *, alpha: float) -> LossComparison | None:
    """Compare canary and champion on the rows that the hash of the id assigned to the one or the other at random.

    Each row contributes an inverse-probability-weighted loss, centred at the mean loss of the rows before it, with a
    minus for the champion's. The mean of these is the difference of the two versions' losses, and its bound holds at
    all times simultaneously. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021 (arXiv 2103.06476), the doubly
    robust sequence of randomised experiments, with the mean of losses as its regression.

    Losses of pairs of rows, as for the area under the ROC curve, cannot be compared so. Returns ``None`` for these, and
    if a side has no row. The arguments are those of :func:`compare_pairs`, of the present stage.
    """
    treated = (pl.col("version") == rollout.version) & (pl.col("route") == "canary")
    control = (pl.col("version") == rollout.previous) & (pl.col("route") == "champion")
    rows = mature.filter(treated | control)
    is_canary = rows.select(treated.alias("canary"))["canary"].to_numpy()
    if scoring.kind == "pairs" or not 0 < rollout.share < 1 or is_canary.all() or not is_canary.any():
        return None
    (losses,) = _clipped(scoring, scoring.losses(rows).values)
    before = np.concatenate([losses[:1], losses.cumsum()[:-1] / np.arange(1, len(losses))])
    weight = np.where(is_canary, 1.0 / rollout.share, -1.0 / (1.0 - rollout.share))
    count = int(is_canary.sum())
    bound = _lower_bound(weight * (losses - before), _hours(rows), alpha, scoring) if count >= _FIRST else None
    return replace(
        _comparison(scoring, losses[is_canary], losses[~is_canary], paired=False, rows=count), at_least=bound
    )


def _comparison(scoring: Scoring, challenger: Floats, champion: Floats, *, paired: bool, rows: int) -> LossComparison:
    own, other = float(challenger.mean()), float(champion.mean())
    return LossComparison(
        loss=LOSS_WORDS[scoring.kind],
        paired=paired,
        rows=rows,
        challenger=own,
        champion=other,
        worse_by=own - other,
    )


def _lower_bound(differences: Floats, hours: NDArray[np.int64], alpha: float, scoring: Scoring) -> float | None:
    """Return the lower bound of a confidence sequence for their mean; ``None`` from too few.

    Rows of an hour or a day may be correlated; groups of as many as the design effect are replaced by their means.
    """
    group = int(np.ceil(max(design_effect(differences, hours), scoring.design_effect)))
    count = len(differences) // group
    first = max(_FIRST // group, _FEWEST_GROUPS)
    if count < first:
        return None
    means = differences[: count * group].reshape(count, group).mean(axis=1)
    return -float(upper_sequence(-means, alpha, first=first)[-1])


def _clipped(scoring: Scoring, *losses: Floats) -> tuple[Floats, ...]:
    """Return the losses with errors clipped: these are unbounded, other losses are not."""
    if scoring.kind != "deviation":
        return losses
    most = _FARTHEST * float(np.quantile(np.concatenate(losses), 0.95))
    return tuple(np.minimum(values, most) for values in losses) if most > 0 else losses


def _hours(rows: pl.DataFrame) -> NDArray[np.int64]:
    hours: NDArray[np.int64] = rows["event_time"].dt.epoch("s").to_numpy() // 3600
    return hours
