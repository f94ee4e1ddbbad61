"""Verdicts of gates, and their numbers as text."""

from __future__ import annotations

import math

from everfit.core.records import Verdict


def decide(gate: str, passed: bool, sentence: str, *, value: float, threshold: float | None = None) -> Verdict:
    """Make a verdict with a number; a number that is not finite is left out, since JSON has none."""
    return Verdict(
        gate=gate,
        outcome="passed" if passed else "failed",
        sentence=sentence,
        value=float(value) if math.isfinite(value) else None,
        threshold=threshold,
    )


def refuse(gate: str, sentence: str, *, threshold: float | None = None) -> Verdict:
    """Make a failed verdict for something that could not be measured."""
    return Verdict(gate=gate, outcome="failed", sentence=sentence, threshold=threshold)


def skip(gate: str, sentence: str) -> Verdict:
    """Make a verdict of a gate that has nothing to judge."""
    return Verdict(gate=gate, outcome="skipped", sentence=sentence)


def percent(share: float) -> str:
    """Format a share in per cent.

    >>> percent(0.1234), percent(0.0004)
    ('12.3 %', '0.04 %')
    """
    return f"{share * 100:.3g} %"
