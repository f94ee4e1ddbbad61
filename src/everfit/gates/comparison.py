"""Paired comparison of two predictions of the same rows, with its description."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.core.class_names import quoted
from everfit.core.evidence import Evidence
from everfit.measures.interval import PairedDifference, paired_bootstrap
from everfit.measures.quality import metric_for


@dataclass(frozen=True, kw_only=True)
class MetricComparison:
    """Comparison of the candidate with other predictions, by the model's metric."""

    metric: str
    candidate: float
    other: float
    paired: PairedDifference
    """Positive where the candidate is worse."""

    @property
    def defined(self) -> bool:
        """True if the metric could be measured for both."""
        return math.isfinite(self.paired.difference) and math.isfinite(self.paired.low)

    def describe(self, other: str) -> str:
        """Describe the values and their difference, as a clause without a full stop."""
        if not self.defined:
            return (
                f"{self.metric} cannot be measured on these {self.paired.rows} rows "
                f"(candidate {self.candidate:.4g}, {other} {self.other:.4g})"
            )
        side = "worse" if self.paired.difference > 0 else "better"
        low, high = sorted((abs(self.paired.low), abs(self.paired.high)))
        if self.paired.low < 0 < self.paired.high:
            span = f"between {-self.paired.low:.4g} better and {self.paired.high:.4g} worse"
        else:
            span = f"between {low:.4g} and {high:.4g}"
        return (
            f"{self.metric} is {self.candidate:.4g} against the {other}'s {self.other:.4g} on {self.paired.rows} rows: "
            f"{abs(self.paired.difference):.4g} {side}, {span} by paired bootstrap"
        )


def compare_with_champion(evidence: Evidence, champion: NDArray[np.float64], *, alpha: float) -> MetricComparison:
    """As :func:`compare`, over the classes of both models: one that does not know a row's class is charged for it."""
    both = evidence.paired
    if both is None:
        return compare(evidence, champion, alpha=alpha)
    return _compare(evidence, both.truth, both.predicted, both.champion, alpha=alpha)


def classes_apart(evidence: Evidence) -> str:
    """Describe, with a leading space, the classes that only one of candidate and champion knows."""
    parts = []
    for knows, own, lacks, other in (
        ("the candidate", evidence.classes, "the champion", evidence.champion_classes),
        ("the champion", evidence.champion_classes, "the candidate", evidence.classes),
    ):
        only = [value for value in own if value not in other]
        if only:
            parts.append(f"{quoted(only)} is known to {knows} only, and scored as impossible for {lacks}")
    return f" Of the classes, {'; '.join(parts)}." if parts else ""


def compare(evidence: Evidence, other: NDArray[np.float64], *, alpha: float) -> MetricComparison:
    """Compare the candidate with other predictions; each end of the interval has the level ``alpha``."""
    return _compare(evidence, evidence.truth, evidence.predicted, other, alpha=alpha)


def _compare(
    evidence: Evidence,
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    alpha: float,
) -> MetricComparison:
    metric = metric_for(evidence.metric, evidence.task)
    return MetricComparison(
        metric=metric.name,
        candidate=metric.compute(truth, predicted, evidence.weight),
        other=metric.compute(truth, other, evidence.weight),
        paired=paired_bootstrap(
            metric,
            truth,
            predicted,
            other,
            resamples=evidence.bootstrap,
            seed=evidence.seed,
            level=1.0 - 2.0 * alpha,
            weight=evidence.weight,
        ),
    )
