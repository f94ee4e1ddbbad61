"""Gates that compare the candidate with a trivial baseline and with the champion, on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from everfit.core.class_names import quoted
from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, refuse, skip
from everfit.measures.interval import PairedDifference, paired_bootstrap
from everfit.measures.quality import metric_for

_SHARE = 0.01
"""Tolerated loss by default, as a share of the champion's value; chosen."""
_FEWEST = 30
"""Fewest rows newer than all that the champion has learnt from on which it is compared as deployed; chosen."""


@dataclass(frozen=True, kw_only=True)
class BeatsBaseline:
    """The candidate must be significantly better than always predicting the training rows' rate, shares or median.

    Args:
        alpha: Probability that a candidate no better than the baseline passes.
    """

    alpha: float = 0.05
    name: ClassVar[str] = "beats_baseline"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is how much better the candidate is than the baseline, in the metric's unit."""
        found = compare_paired(evidence, evidence.truth, evidence.predicted, evidence.baseline, alpha=self.alpha)
        passed = found.defined and found.paired.high < 0
        words = "The candidate beats the baseline" if passed else "The candidate does not beat the baseline"
        sentence = f"{words}: {found.describe('baseline')}."
        return [decide(self.name, passed, sentence, value=-found.paired.difference, threshold=0.0)]


@dataclass(frozen=True)
class BeatsChampion:
    """The candidate must not be worse than the champion on the same rows, by paired bootstrap.

    Where the champion was trained on rows of the hold-out, its parameters are fitted again without them. If they are
    better than those that were tuned, they are what is shipped, fitted on all rows: fresh data is not refused because
    fresher data would be better.

    Args:
        margin: Tolerated loss, in the metric's own unit; by default 1 % of the champion's value.
        alpha: Probability that a candidate which is exactly ``margin`` worse fails.
        strictly: Require it to be significantly better; ``alpha`` is then the probability that one which is not
            better passes.

    Raises:
        DefinitionError: If the margin is negative, or alpha not between 0 and 0.5.
    """

    _: KW_ONLY
    margin: float | None = None
    alpha: float = 0.05
    strictly: bool = False
    name: ClassVar[str] = "beats_champion"

    def __post_init__(self) -> None:
        if self.margin is not None and not self.margin >= 0:
            raise DefinitionError("margin must not be negative", value=self.margin, place=self.name)
        if not 0 < self.alpha < 0.5:
            raise DefinitionError("alpha must be between 0 and 0.5", value=self.alpha, place=self.name)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the loss against the champion in the metric's unit, below 0 if better."""
        version, champion, paired = evidence.champion_version, evidence.champion, evidence.paired
        if evidence.champion_problem or (version is not None and champion is None):
            why = evidence.champion_problem or "it has no predictions of the hold-out"
            sentence = f"The champion, version {version}, could not be scored on the same rows: {why.rstrip('.')}."
            return [refuse(self.name, sentence, threshold=self.margin)]
        if champion is None:
            return [skip(self.name, "There is no champion yet: 0 versions to compare with.")]
        if paired is None:
            found = compare_paired(evidence, evidence.truth, evidence.predicted, champion, alpha=self.alpha)
        else:  # over the classes of both models: one that does not know a row's class is charged for it
            found = compare_paired(evidence, paired.truth, paired.predicted, paired.champion, alpha=self.alpha)
        by_default = 0.0 if self.strictly else _SHARE * abs(found.other)
        margin = by_default if self.margin is None else self.margin
        passed = found.defined and (found.paired.high < 0 if self.strictly else found.paired.low <= margin)
        sentence = f"{self._conclusion(passed, margin)}: {found.describe('champion')}."
        if evidence.champion_stand_in:
            sentence += f" {self._stand_in(evidence)}"
        if paired is not None:
            sentence += _classes_apart(evidence)
        if evidence.champion_remark:
            sentence += f" {evidence.champion_remark}"
        threshold = margin if math.isfinite(margin) else self.margin
        return [decide(self.name, passed, sentence, value=found.paired.difference, threshold=threshold)]

    def _conclusion(self, passed: bool, margin: float) -> str:
        if self.strictly:
            return f"The candidate is {'' if passed else 'not '}significantly better"
        beyond = f" by more than {margin:.3g}" if margin > 0 else ""
        return f"The candidate is {'not ' if passed else ''}significantly worse{beyond}"

    def _stand_in(self, evidence: Evidence) -> str:
        """Say what the champion's parameters were compared for, and how the champion itself does on newer rows."""
        sentence = "The champion has learnt from these rows, so its recipe was fitted again without them."
        if evidence.champion_recipe:
            sentence += f" {evidence.champion_recipe}"
        itself = evidence.champion_deployed
        if itself is None or np.isfinite(itself).reshape(len(itself), -1).all(axis=1).sum() < _FEWEST:
            return sentence
        found = compare_paired(evidence, evidence.truth, evidence.predicted, itself, alpha=self.alpha)
        return f"{sentence} On the newer rows, {found.describe('deployed champion')}." if found.defined else sentence


def _classes_apart(evidence: Evidence) -> str:
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


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Comparison of the candidate with other predictions of the same rows, by the model's metric."""

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
        difference, low, high, rows = self.paired.difference, self.paired.low, self.paired.high, self.paired.rows
        if not self.defined:
            return (
                f"{self.metric} cannot be measured on these {rows} rows "
                f"(candidate {self.candidate:.4g}, {other} {self.other:.4g})"
            )
        if low < 0 < high:
            span = f"between {-low:.4g} better and {high:.4g} worse"
        else:
            span = f"between {min(abs(low), abs(high)):.4g} and {max(abs(low), abs(high)):.4g}"
        return (
            f"{self.metric} is {self.candidate:.4g} against the {other}'s {self.other:.4g} on {rows} rows: "
            f"{abs(difference):.4g} {'worse' if difference > 0 else 'better'}, {span} by paired bootstrap"
        )


def compare_paired(
    evidence: Evidence,
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    alpha: float,
    weight: NDArray[np.float64] | None = None,
) -> PairedComparison:
    """Compare predictions with others, where there are any; each end of the interval has the level ``alpha``.

    The weights of the rows are by default the evidence's.
    """
    weight, known = (
        evidence.weight if weight is None else weight,
        ~np.isnan(other).any(axis=tuple(range(1, other.ndim))),
    )
    truth, predicted, other, weight = (values[known] for values in (truth, predicted, other, weight))
    metric = metric_for(evidence.metric, evidence.task)
    drawn = {"resamples": evidence.bootstrap, "seed": evidence.seed}
    return PairedComparison(
        metric=metric.name,
        candidate=metric.compute(truth, predicted, weight),
        other=metric.compute(truth, other, weight),
        paired=paired_bootstrap(metric, truth, predicted, other, **drawn, level=1.0 - 2.0 * alpha, weight=weight),
    )
