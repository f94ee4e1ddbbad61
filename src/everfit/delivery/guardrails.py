"""Guardrails of a rollout: conditions under which the challenger is taken back. Pure: numbers in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator

from everfit.core.records import Verdict
from everfit.core.rollout import LossComparison, PredictionDistance, RolloutState, StageEvidence, VersionMetrics
from everfit.measures.confidence import clopper_pearson_low

MOST_FAILING = 0.0005
"""Share of rows that the challenger may fail on beyond the champion's share; chosen: one row in two thousand may be the
machine's fault."""
_FAILING_ALPHA = 0.01
TIMES_SLOWER, SLOWER_MS = 3.0, 10.0
"""The challenger may take three times as long as the champion, or ten milliseconds longer, whichever is more; chosen.
The latency gate judges the model itself; this guardrail is about load."""
MOST_DISTANCE = 0.5
"""Chosen: a model trained on newer rows predicts differently, but not on half of all rows."""
LEAST_SPREAD = 0.01
"""With less of the champion's standard deviation, the challenger's predictions are practically constant; chosen."""
LEAST_RELATIVE = 0.01
"""A loss that is worse by less than this share of the champion's is no reason for a rollback; chosen."""


def guardrail_violations(
    evidence: StageEvidence, state: RolloutState, *, p99_ms: float | None = None
) -> tuple[Verdict, ...]:
    """Return every violated guardrail, the gravest first.

    Once the challenger is the champion, only failures, the latency limit and labels count: the distribution of its
    predictions was compared before, and a shadow's latency is not comparable.

    Args:
        evidence: Collected so far.
        state: The rollout's.
        p99_ms: The latency limit that 99 % of the requests must keep.
    """
    verdicts = [check_failures(evidence.challenger, evidence.champion), check_finite(evidence.challenger)]
    verdicts += [check_labels(comparison) for comparison in evidence.comparisons]
    beside = evidence.champion if state == "canary" else None
    verdicts.append(check_latency(evidence.challenger, beside, p99_ms=p99_ms))
    if state != "watching" and evidence.distance is not None:
        verdicts += check_distribution(evidence.distance, evidence.comparisons)
    return tuple(verdict for verdict in verdicts if verdict.outcome == "failed")


def check_failures(challenger: VersionMetrics, champion: VersionMetrics) -> Verdict:
    """Compare the share of failed rows with the champion's.

    The challenger's share is taken at its lower confidence limit (Clopper, Pearson 1934), so that a single row is no
    violation.
    """
    usual = champion.failed / champion.rows if champion.rows else 0.0
    low = clopper_pearson_low(challenger.failed, challenger.rows, alpha=_FAILING_ALPHA)
    reason = f" ({challenger.problem})" if challenger.problem else ""
    sentence = (
        f"Version {challenger.version} could not answer {challenger.failed:,} of {challenger.rows:,} rows{reason}, "
        f"at least {low:.2%}; of version {champion.version} it is {usual:.2%}."
    )
    return _verdict("failures", low > usual + MOST_FAILING, sentence, value=low, threshold=usual + MOST_FAILING)


def check_finite(challenger: VersionMetrics) -> Verdict:
    """Require that every prediction is a finite number."""
    count = challenger.non_finite
    sentence = f"{count:,} of {challenger.rows:,} predictions of version {challenger.version} are no finite number."
    return _verdict("finite", count > 0, sentence, value=float(count), threshold=0.0)


def check_latency(challenger: VersionMetrics, champion: VersionMetrics | None, *, p99_ms: float | None) -> Verdict:
    """Compare the lower confidence bound of the 99 % latency with what is allowed.

    Args:
        challenger: Its metrics.
        champion: The champion's under the same conditions, if there are any.
        p99_ms: The absolute limit.
    """
    limits = [] if p99_ms is None else [(p99_ms, f"allowed are {p99_ms:g} ms")]
    if champion is not None and champion.p99_high_ms is not None:
        usual = max(TIMES_SLOWER * champion.p99_high_ms, champion.p99_high_ms + SLOWER_MS)
        words = f"99 % of version {champion.version}'s within {champion.p99_high_ms:.3g} ms at most"
        limits.append((usual, words))
    if challenger.p99_low_ms is None or not limits:
        return Verdict(gate="latency", outcome="skipped", sentence="There is nothing to compare latencies with yet.")
    limit, words = min(limits)
    sentence = (
        f"99 % of version {challenger.version}'s {challenger.timed:,} requests took {challenger.p99_ms:.3g} ms, at "
        f"least {challenger.p99_low_ms:.3g} ms; {words}."
    )
    return _verdict("latency", challenger.p99_low_ms > limit, sentence, value=challenger.p99_low_ms, threshold=limit)


def check_distribution(distance: PredictionDistance, comparisons: tuple[LossComparison, ...]) -> Iterator[Verdict]:
    """Refuse predictions that are constant, or distributed so differently from the champion's that they must be wrong.

    Labels take precedence: where enough of them show that the challenger is no worse, a large distance is no violation.
    """
    rows = f"{distance.rows:,} predictions"
    constant = (
        f"The challenger's {rows} hardly differ from each other: their standard deviation is {distance.spread:.3g}, "
        f"the champion's {distance.champion_spread:.3g}."
    )
    least = LEAST_SPREAD * distance.champion_spread
    yield _verdict("constant", distance.spread < least, constant, value=distance.spread, threshold=least)
    no_worse = any(comparison.at_least is not None and comparison.worse_by <= 0 for comparison in comparisons)
    apart = (
        f"The challenger's {rows} are distributed unlike the champion's {distance.champion_rows:,}: their "
        f"Kolmogorov-Smirnov distance is {distance.distance:.2f}, at least {distance.at_least:.2f}."
    )
    gross = distance.at_least > MOST_DISTANCE and not no_worse
    yield _verdict("distribution", gross, apart, value=distance.at_least, threshold=MOST_DISTANCE)


def check_labels(comparison: LossComparison) -> Verdict:
    """Compare the losses: violated if the challenger is worse beyond chance, and by enough to matter."""
    if comparison.at_least is None:
        sentence = f"Outcomes of {comparison.rows:,} rows are known, too few to compare."
        return Verdict(gate="outcomes", outcome="skipped", sentence=sentence)
    where = "rows that both predicted" if comparison.paired else "rows, assigned at random"
    sentence = (
        f"The challenger's {comparison.loss} is {comparison.challenger:.4f} on {comparison.rows:,} {where}, the "
        f"champion's {comparison.champion:.4f}: worse by {comparison.worse_by:.4f}, at least {comparison.at_least:.4f}."
    )
    worse = comparison.at_least > 0 and comparison.worse_by > LEAST_RELATIVE * comparison.champion
    return _verdict("outcomes", worse, sentence, value=comparison.at_least, threshold=0.0)


def _verdict(gate: str, failed: bool, sentence: str, *, value: float, threshold: float) -> Verdict:
    return Verdict(
        gate=gate, outcome="failed" if failed else "passed", sentence=sentence, value=value, threshold=threshold
    )
