"""Gate: the candidate must beat a trivial baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.comparison import compare
from everfit.gates.verdict import decide


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
        found = compare(evidence, evidence.baseline, alpha=self.alpha)
        passed = found.defined and found.paired.high < 0
        words = "The candidate beats the baseline" if passed else "The candidate does not beat the baseline"
        sentence = f"{words}: {found.describe('baseline')}."
        return [decide(self.name, passed, sentence, value=-found.paired.difference, threshold=0.0)]
