"""Metrics of a rollout's stage, from the journal's rows: frames in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from msgspec.structs import replace

from everfit.core.rollout import (
    LossComparison,
    PredictionDistance,
    Rollout,
    RolloutState,
    StageEvidence,
    VersionMetrics,
)
from everfit.definitions.rollout import Canary, RolloutPlan
from everfit.delivery.comparison import compare_arms, compare_pairs
from everfit.delivery.scoring import Scoring
from everfit.measures.confidence import quantile_bounds
from everfit.measures.distances import kolmogorov_smirnov
from everfit.measures.weighting import Floats

_ROUTES = ("champion", "canary", "shadow", "stand_in")
"""Routes of the rollout's traffic; requests that name a version themselves are not a random sample."""
_STAGE_ROUTES: dict[RolloutState, tuple[str, str]] = {
    "shadow": ("shadow", "champion"),
    "canary": ("canary", "champion"),
    "watching": ("champion", "shadow"),
}
"""Routes of challenger and champion in a stage. Until a worker has loaded the stage's deployment its rows have the
routes of the stage before; they are no evidence on this one."""
_LEAST_TIMED = 100
_P99, _LATENCY_ALPHA = 0.99, 0.01
_LEAST_ROWS = 50
_DISTANCE_ALPHA = 0.001
_WHOLE, _WATCH, _CANARIES = 0.4, 0.2, 0.4
"""Shares of alpha: for rows of the whole rollout that both predicted, those since the promotion, and those that
canaries assigned at random. Chosen."""


def stage_evidence(
    answers: pl.DataFrame,
    failures: pl.DataFrame,
    *,
    rollout: Rollout,
    plan: RolloutPlan,
    scoring: Scoring,
    now: datetime,
) -> StageEvidence:
    """Return the metrics of a challenger and its champion.

    Rows count for a stage by their route: one that a worker still predicted in shadow when the canary had begun is none
    of the canary's. Labels of rows that both predicted are one sequence over the whole rollout, shadow and watch alike.
    The world may turn after the promotion: the rows since then are compared by themselves, too. In a canary the hash of
    the id assigns rows at random; that is compared as well. Each of these has its part of alpha.

    Args:
        answers: Predictions of both versions since the rollout began: columns of the journal (``id``, ``version``,
            ``route``, ``row``, ``recorded_at``, ``event_time``, ``latency_us``, the predictions), ``label``: float64 as
            :class:`everfit.measures.quality.Metric` has it, null while unknown, and ``label_known_at``.
        failures: Rows that could not be predicted: ``version``, ``route``, ``recorded_at``, ``problem``.
    """
    began, entered = pl.col("recorded_at") >= rollout.began_at, pl.col("recorded_at") >= rollout.entered_at
    ours = pl.col("version").is_in([rollout.version, rollout.previous]) & pl.col("route").is_in(_ROUTES)
    made, failed = answers.filter(ours, began), failures.filter(ours, began)
    routes = _STAGE_ROUTES.get(rollout.effective, _STAGE_ROUTES["shadow"])
    of_challenger, of_champion = (
        (pl.col("version") == version) & (pl.col("route") == route)
        for version, route in zip((rollout.version, rollout.previous), routes, strict=True)
    )
    stage = made.filter(entered, of_challenger | of_champion)
    return StageEvidence(
        requests=stage.filter(of_challenger).height + failed.filter(entered, of_challenger).height,
        challenger=_metrics(rollout.version, made, stage, failed, scoring),
        champion=_metrics(rollout.previous, made, stage, failed, scoring),
        distance=_distance(stage, rollout, scoring.shared_columns),
        comparisons=_comparisons(made, stage, rollout, plan, scoring, now),
    )


def _metrics(
    version: int, made: pl.DataFrame, stage: pl.DataFrame, failed: pl.DataFrame, scoring: Scoring
) -> VersionMetrics:
    own = pl.col("version") == version
    answered, lost = made.filter(own), failed.filter(own)
    finite = pl.all_horizontal(pl.col(name).is_not_null() & pl.col(name).is_finite() for name in scoring.columns)
    problems = lost.group_by("problem").len().sort("len", "problem", descending=True)
    # One request has one latency, whatever the number of its rows.
    latency_ms = stage.filter(own, pl.col("row") == 0)["latency_us"] / 1000
    low = high = None
    if len(latency_ms) >= _LEAST_TIMED:
        low, high = quantile_bounds(latency_ms.to_numpy(), _P99, alpha=_LATENCY_ALPHA)
    return VersionMetrics(
        version=version,
        rows=answered.height + lost.height,
        failed=lost.height,
        non_finite=answered.filter(~finite).height,
        problem=problems["problem"][0] if problems.height else "",
        timed=len(latency_ms),
        p99_ms=None if low is None else latency_ms.quantile(_P99),
        p99_low_ms=low,
        p99_high_ms=high,
    )


def _distance(stage: pl.DataFrame, rollout: Rollout, columns: Sequence[str]) -> PredictionDistance | None:
    """Compare the distributions of both versions' predictions; ``None`` where either has fewer than 50.

    They are of the same rows, but in a canary, where no row has both. The bound on the distance is that of Dvoretzky,
    Kiefer, Wolfowitz 1956 with the constant of Massart 1990, which holds for every distribution and number of rows. Of
    several classes the one that differs most counts.
    """
    challenger = stage.filter(pl.col("version") == rollout.version)
    champion = stage.filter(pl.col("version") == rollout.previous)
    if rollout.effective != "canary":
        challenger = challenger.join(champion, on="id", how="semi")
        champion = champion.join(challenger, on="id", how="semi")
    sides = [[side[name].drop_nulls().drop_nans().to_numpy() for name in columns] for side in (challenger, champion)]
    pairs = [(own, other) for own, other in zip(*sides, strict=True) if min(len(own), len(other)) >= _LEAST_ROWS]
    if not pairs:
        return None
    alpha = _DISTANCE_ALPHA / (2 * len(pairs))
    errors = [_error(len(own), alpha) + _error(len(other), alpha) for own, other in pairs]
    found = zip((_kolmogorov_smirnov(*pair) for pair in pairs), errors, strict=True)
    distance, error = max(found, key=lambda pair: pair[0] - pair[1])
    return PredictionDistance(
        rows=challenger.height,
        champion_rows=champion.height,
        distance=distance,
        at_least=max(distance - error, 0.0),
        spread=max(float(own.std()) for own, _ in pairs),
        champion_spread=max(float(other.std()) for _, other in pairs),
    )


def _kolmogorov_smirnov(own: Floats, other: Floats) -> float:
    values, place = np.unique(np.concatenate([other, own]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(values)) for part in (place[: len(other)], place[len(other) :])]
    return kolmogorov_smirnov(*counts)


def _error(rows: int, alpha: float) -> float:
    """Return the largest distance of a sample's distribution from the true one, with probability 1 - alpha."""
    return math.sqrt(math.log(2.0 / alpha) / (2.0 * rows))


def _comparisons(
    made: pl.DataFrame, stage: pl.DataFrame, rollout: Rollout, plan: RolloutPlan, scoring: Scoring, now: datetime
) -> tuple[LossComparison, ...]:
    canaries = sum(isinstance(part, Canary) for part in plan.stages)
    alpha = plan.alpha * (_WHOLE if canaries else _WHOLE + _CANARIES)
    found = [compare_pairs(scoring.mature(made, now), rollout, scoring, alpha=alpha)]
    if rollout.effective == "watching":
        watched = compare_pairs(scoring.mature(stage, now), rollout, scoring, alpha=plan.alpha * _WATCH)
        found.append(None if watched is None else replace(watched, watched=True))
    if rollout.effective == "canary":
        alpha = plan.alpha * _CANARIES / max(canaries, 1)
        found.append(compare_arms(scoring.mature(stage, now), rollout, scoring, alpha=alpha))
    return tuple(comparison for comparison in found if comparison is not None)
