"""What speaks against a newcomer. Pure: numbers in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator

from everfit.core.records import Verdict
from everfit.core.rollout import Answering, Comparison, Likeness, RolloutState, StageEvidence
from everfit.measures.proportion import clopper_pearson_low

MOST_FAILING = 0.0005
"""The share of rows that a version may fail on beyond what the champion does: where one in two thousand callers had to
be answered by another version, that may be the machine's fault."""
_FAILING_ALPHA = 0.01
TIMES_SLOWER, SLOWER_MS = 3.0, 10.0
"""A newcomer may take three times as long as the champion, or ten milliseconds longer, whichever is more: how long a
trained model takes is for the gate to judge, this is about what only shows under load."""
MOST_DISTANCE = 0.5
"""A model that learnt from newer rows is expected to answer otherwise; not on half of all rows."""
LEAST_SPREAD = 0.01
"""With less of the champion's spread, a newcomer answers everybody the same."""
LEAST_RELATIVE = 0.01
"""A loss that is worse by less than a hundredth of the champion's is not worth a rollback, however sure it is."""


def objections(evidence: StageEvidence, state: RolloutState, *, p99_ms: float | None = None) -> tuple[Verdict, ...]:
    """Every check that failed, the gravest first.

    Once the newcomer is the champion, only what callers feel counts: rows that cannot be answered, the limit of
    latency, and outcomes. What it answers was compared before, and the latency of a shadow is not that of a caller.

    Args:
        evidence: What is known now.
        state: Where the rollout is.
        p99_ms: The longest that 99 % of answers may take.
    """
    verdicts = [check_failures(evidence.newcomer, evidence.champion), check_finite(evidence.newcomer)]
    verdicts += [check_outcomes(each) for each in evidence.comparisons]
    beside = evidence.champion if state == "canary" else None
    verdicts.append(check_latency(evidence.newcomer, beside, p99_ms=p99_ms))
    if state != "watching" and evidence.likeness is not None:
        verdicts += check_likeness(evidence.likeness, evidence.comparisons)
    return tuple(each for each in verdicts if each.outcome == "failed")


def check_failures(newcomer: Answering, champion: Answering) -> Verdict:
    """Rows that the newcomer could not answer, against the champion's share of such rows.

    The newcomer's share is taken at its lower limit (Clopper, Pearson 1934), so that a single row decides nothing.
    """
    usual = champion.failed / champion.asked if champion.asked else 0.0
    low = clopper_pearson_low(newcomer.failed, newcomer.asked, alpha=_FAILING_ALPHA)
    reason = f" ({newcomer.problem})" if newcomer.problem else ""
    sentence = (
        f"Version {newcomer.version} could not answer {newcomer.failed:,} of {newcomer.asked:,} rows{reason}, "
        f"at least {low:.2%}; of version {champion.version} it is {usual:.2%}."
    )
    return _verdict("failures", low > usual + MOST_FAILING, sentence, value=low, threshold=usual + MOST_FAILING)


def check_finite(newcomer: Answering) -> Verdict:
    """Answers that are no numbers; one is too many."""
    sentence = (
        f"{newcomer.unusable:,} of {newcomer.asked:,} answers of version {newcomer.version} are no finite number."
    )
    return _verdict("finite", newcomer.unusable > 0, sentence, value=float(newcomer.unusable), threshold=0.0)


def check_latency(newcomer: Answering, champion: Answering | None, *, p99_ms: float | None) -> Verdict:
    """The time within which 99 % are answered, at its lower limit, against what is allowed.

    Args:
        newcomer: How it did.
        champion: How the champion did under the same conditions, if it did.
        p99_ms: What is allowed at any rate.
    """
    limits = [] if p99_ms is None else [(p99_ms, f"allowed are {p99_ms:g} ms")]
    if champion is not None and champion.p99_high_ms is not None:
        usual = max(TIMES_SLOWER * champion.p99_high_ms, champion.p99_high_ms + SLOWER_MS)
        words = f"99 % of version {champion.version}'s within {champion.p99_high_ms:.3g} ms at most"
        limits.append((usual, words))
    if newcomer.p99_low_ms is None or not limits:
        return Verdict(gate="latency", outcome="skipped", sentence="There is nothing to compare latencies with yet.")
    limit, words = min(limits)
    sentence = (
        f"99 % of version {newcomer.version}'s {newcomer.timed:,} requests took {newcomer.p99_ms:.3g} ms, at least "
        f"{newcomer.p99_low_ms:.3g} ms; {words}."
    )
    return _verdict("latency", newcomer.p99_low_ms > limit, sentence, value=newcomer.p99_low_ms, threshold=limit)


def check_likeness(likeness: Likeness, comparisons: tuple[Comparison, ...]) -> Iterator[Verdict]:
    """Answers that are all the same, or so unlike the champion's that something must be broken.

    Outcomes know better: where enough of them say that the newcomer is no worse, being different is no fault.
    """
    rows = f"{likeness.rows:,} answers"
    constant = (
        f"The newcomer's {rows} hardly differ from each other: their standard deviation is {likeness.spread:.3g}, the "
        f"champion's {likeness.champion_spread:.3g}."
    )
    least = LEAST_SPREAD * likeness.champion_spread
    yield _verdict("constant", likeness.spread < least, constant, value=likeness.spread, threshold=least)
    vindicated = any(each.at_least is not None and each.worse_by <= 0 for each in comparisons)
    distance = (
        f"The newcomer's {rows} are distributed unlike the champion's {likeness.champion_rows:,}: their "
        f"Kolmogorov-Smirnov distance is {likeness.distance:.2f}, at least {likeness.at_least:.2f}."
    )
    gross = likeness.at_least > MOST_DISTANCE and not vindicated
    yield _verdict("distribution", gross, distance, value=likeness.at_least, threshold=MOST_DISTANCE)


def check_outcomes(comparison: Comparison) -> Verdict:
    """The newcomer's loss against the champion's: worse beyond chance, and by enough to matter."""
    if comparison.at_least is None:
        sentence = f"Outcomes of {comparison.rows:,} rows are known, too few to say anything."
        return Verdict(gate="outcomes", outcome="skipped", sentence=sentence)
    where = "rows that both answered" if comparison.paired else "rows, which chance gave it"
    sentence = (
        f"The newcomer's {comparison.loss} is {comparison.newcomer:.4f} on {comparison.rows:,} {where}, the champion's "
        f"{comparison.champion:.4f}: worse by {comparison.worse_by:.4f}, and by {comparison.at_least:.4f} at least."
    )
    worse = comparison.at_least > 0 and comparison.worse_by > LEAST_RELATIVE * comparison.champion
    return _verdict("outcomes", worse, sentence, value=comparison.at_least, threshold=0.0)


def _verdict(gate: str, failed: bool, sentence: str, *, value: float, threshold: float) -> Verdict:
    return Verdict(
        gate=gate, outcome="failed" if failed else "passed", sentence=sentence, value=value, threshold=threshold
    )
