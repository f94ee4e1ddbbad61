"""From what was answered to what a rollout's next step is decided by: frames in, numbers out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from everfit.core.rollout import Answering, Comparison, Rollout, StageEvidence
from everfit.definitions.rollout import Canary, RolloutPlan
from everfit.delivery.comparison import compare_arms, compare_pairs
from everfit.delivery.prediction_distribution import likeness_of
from everfit.delivery.scoring import Scoring
from everfit.measures.quantile_bounds import quantile_bounds

if TYPE_CHECKING:
    import polars as pl

ROUTES = ("champion", "canary", "shadow", "stand_in")
"""Those by which versions answer as a rollout has it; who named a version chose it for reasons of their own."""
_LEAST_TIMED = 100
_P99, _LATENCY_ALPHA = 0.99, 0.01
_PAIRED_SHARE = 0.5
"""Of alpha, spent on rows that both answered; the rest on what chance gave to one of them."""


def stage_evidence(
    answers: pl.DataFrame, failures: pl.DataFrame, *, rollout: Rollout, plan: RolloutPlan, scoring: Scoring,
    now: datetime,
) -> StageEvidence:  # fmt: skip
    """What is known of a newcomer and its champion.

    Outcomes of rows that both answered are one sequence over the whole rollout, shadow and watch alike, so that they
    spend half of alpha once. In a canary chance decides, by hash of the id, who answers a row; that is compared as
    well, each canary stage with its part of the other half.

    Args:
        answers: Of both versions since the rollout began: columns of the journal (``id``, ``version``, ``route``,
            ``row``, ``recorded_at``, ``event_time``, ``latency_us``, the answers), ``truth``: float64 as
            :class:`everfit.measures.metric.Metric` has it, null while unknown, and ``outcome_known_at``.
        failures: Rows that could not be answered: ``version``, ``route``, ``recorded_at``, ``problem``.
        rollout: Where it is.
        plan: The model's.
        scoring: How answers are scored.
        now: The present instant.
    """
    import polars as pl

    began, entered = pl.col("recorded_at") >= rollout.began_at, pl.col("recorded_at") >= rollout.entered_at
    ours = pl.col("version").is_in([rollout.version, rollout.previous]) & pl.col("route").is_in(ROUTES)
    made, failed = answers.filter(ours, began), failures.filter(ours, began)
    stage = made.filter(entered)
    newcomer = pl.col("version") == rollout.version
    return StageEvidence(
        requests=stage.filter(newcomer).height + failed.filter(entered, newcomer).height,
        newcomer=_answering(rollout.version, made, stage, failed, scoring),
        champion=_answering(rollout.previous, made, stage, failed, scoring),
        likeness=likeness_of(*_sides(stage, rollout), columns=scoring.shared_columns),
        comparisons=_comparisons(made, stage, rollout, plan, scoring, now),
    )


def _answering(
    version: int, made: pl.DataFrame, stage: pl.DataFrame, failed: pl.DataFrame, scoring: Scoring
) -> Answering:
    import polars as pl

    own = pl.col("version") == version
    answered, lost = made.filter(own), failed.filter(own)
    usable = pl.all_horizontal(pl.col(each).is_not_null() & pl.col(each).is_finite() for each in scoring.columns)
    problems = lost.group_by("problem").len().sort("len", "problem", descending=True)
    # One request has one latency, whatever the number of its rows.
    latency_ms = stage.filter(own, pl.col("row") == 0)["latency_us"] / 1000
    low = high = None
    if len(latency_ms) >= _LEAST_TIMED:
        low, high = quantile_bounds(latency_ms.to_numpy(), _P99, alpha=_LATENCY_ALPHA)
    return Answering(
        version=version,
        asked=answered.height + lost.height,
        failed=lost.height,
        unusable=answered.filter(~usable).height,
        problem=problems["problem"][0] if problems.height else "",
        timed=len(latency_ms),
        p99_ms=None if low is None else latency_ms.quantile(_P99),
        p99_low_ms=low,
        p99_high_ms=high,
    )


def _sides(stage: pl.DataFrame, rollout: Rollout) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The newcomer's and the champion's answers: to the same rows, but in a canary, where no row has both."""
    import polars as pl

    newcomer = stage.filter(pl.col("version") == rollout.version)
    champion = stage.filter(pl.col("version") == rollout.previous)
    if rollout.effective == "canary":
        return newcomer, champion
    return newcomer.join(champion, on="id", how="semi"), champion.join(newcomer, on="id", how="semi")


def _comparisons(
    made: pl.DataFrame, stage: pl.DataFrame, rollout: Rollout, plan: RolloutPlan, scoring: Scoring, now: datetime
) -> tuple[Comparison, ...]:
    canaries = sum(isinstance(each, Canary) for each in plan.stages)
    alpha = plan.alpha * (_PAIRED_SHARE if canaries else 1.0)
    found = [compare_pairs(scoring.mature(made, now), rollout, scoring, alpha=alpha)]
    if rollout.effective == "canary":
        alpha = plan.alpha * (1.0 - _PAIRED_SHARE) / max(canaries, 1)
        found.append(compare_arms(scoring.mature(stage, now), rollout, scoring, alpha=alpha))
    return tuple(each for each in found if each is not None)
