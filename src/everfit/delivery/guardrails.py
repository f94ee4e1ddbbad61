"""Guardrails of a rollout: conditions under which the challenger is taken back. Pure: numbers in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from everfit.core.rollout import LossComparison, PredictionDistance, RolloutState, StageEvidence, VersionMetrics
from everfit.measures.confidence import clopper_pearson_low

_MOST_FAILING = 0.0005
"""Share of rows that the challenger may fail on beyond the champion's share; chosen: one row in two thousand may be the
machine's fault."""
_FAILING_ALPHA = 0.01
_TIMES_SLOWER, _SLOWER_MS = 3.0, 10.0
"""The challenger may take three times as long as the champion, or ten milliseconds longer, whichever is more; chosen.
The latency gate judges the model itself; this guardrail is about load."""
_MOST_DISTANCE = 0.5
"""Chosen: a model trained on newer rows predicts differently, but not on half of all rows."""
_LEAST_SPREAD = 0.01
"""With less of the champion's standard deviation, the challenger's predictions are practically constant; chosen."""
_LEAST_RELATIVE = 0.01
"""A loss that is worse by less than this share of the champion's is no reason for a rollback; chosen."""


def guardrail_violations(evidence: StageEvidence, state: RolloutState, *, p99_ms: float | None = None) -> Iterator[str]:
    """Return a sentence about every violated guardrail, the gravest first.

    Once the challenger is the champion, only failures, the latency limit ``p99_ms`` and labels count: the distribution
    of its predictions was compared before, and a shadow's latency is not comparable.
    """
    yield from _failures(evidence.challenger, evidence.champion)
    for comparison in evidence.comparisons:
        yield from _worse_labels(comparison)
    yield from _slowness(evidence.challenger, evidence.champion if state == "canary" else None, p99_ms)
    if state != "watching" and evidence.distance is not None:
        yield from _strangeness(evidence.distance, evidence.comparisons)


def _failures(challenger: VersionMetrics, champion: VersionMetrics) -> Iterator[str]:
    """Compare the share of failed rows, at its lower confidence limit (Clopper, Pearson 1934), with the champion's."""
    usual = champion.failed / max(champion.rows, 1)
    low = clopper_pearson_low(challenger.failed, challenger.rows, alpha=_FAILING_ALPHA)
    if low > usual + _MOST_FAILING:
        reason = f" ({challenger.problem})" if challenger.problem else ""
        yield (
            f"Version {challenger.version} could not answer {challenger.failed:,} of {challenger.rows:,} rows{reason}, "
            f"at least {low:.2%}; of version {champion.version} it is {usual:.2%}."
        )
    if challenger.non_finite:
        rows = f"{challenger.non_finite:,} of {challenger.rows:,} predictions"
        yield f"{rows} of version {challenger.version} are no finite number."


def _worse_labels(comparison: LossComparison) -> Iterator[str]:
    """Compare the losses: violated if the challenger is worse beyond chance, and by enough to matter."""
    beyond_chance = comparison.at_least is not None and comparison.at_least > 0
    if beyond_chance and comparison.worse_by > _LEAST_RELATIVE * comparison.champion:
        where = "rows that both predicted" if comparison.paired else "rows, assigned at random"
        where += " since the promotion" if comparison.watched else ""
        yield (
            f"The challenger's {comparison.loss} is {comparison.challenger:.4f} on {comparison.rows:,} {where}, the "
            f"champion's {comparison.champion:.4f}: worse by {comparison.worse_by:.4f}, at least "
            f"{comparison.at_least:.4f}."
        )


def _slowness(challenger: VersionMetrics, champion: VersionMetrics | None, p99_ms: float | None) -> Iterator[str]:
    """Compare the lower confidence bound of the 99 % latency with the limit, and with the champion's under the same
    conditions, if there are any.
    """
    limits = [] if p99_ms is None else [(p99_ms, f"allowed are {p99_ms:g} ms")]
    if champion is not None and champion.p99_high_ms is not None:
        usual = max(_TIMES_SLOWER * champion.p99_high_ms, champion.p99_high_ms + _SLOWER_MS)
        limits.append((usual, f"99 % of version {champion.version}'s within {champion.p99_high_ms:.3g} ms at most"))
    limit, words = min(limits, default=(inf, ""))
    if challenger.p99_low_ms is not None and challenger.p99_low_ms > limit:
        yield (
            f"99 % of version {challenger.version}'s {challenger.timed:,} requests took {challenger.p99_ms:.3g} ms, at "
            f"least {challenger.p99_low_ms:.3g} ms; {words}."
        )


def _strangeness(distance: PredictionDistance, comparisons: Sequence[LossComparison]) -> Iterator[str]:
    """Refuse predictions that are constant, or distributed so differently from the champion's that they must be wrong.

    Labels take precedence: where enough of them show that the challenger is no worse, a large distance is no violation.
    """
    rows = f"{distance.rows:,} predictions"
    if distance.spread < _LEAST_SPREAD * distance.champion_spread:
        yield (
            f"The challenger's {rows} hardly differ from each other: their standard deviation is "
            f"{distance.spread:.3g}, the champion's {distance.champion_spread:.3g}."
        )
    no_worse = any(comparison.at_least is not None and comparison.worse_by <= 0 for comparison in comparisons)
    if distance.at_least > _MOST_DISTANCE and not no_worse:
        yield (
            f"The challenger's {rows} are distributed unlike the champion's {distance.champion_rows:,}: their "
            f"Kolmogorov-Smirnov distance is {distance.distance:.2f}, at least {distance.at_least:.2f}."
        )
