"""Gate: training twice with one seed must give the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from everfit.artifact.tolerance import relative_difference
from everfit.core.errors import EverfitError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, refuse


@dataclass(frozen=True, kw_only=True)
class Determinism:
    """Fitted twice on the same rows with the same seed, the estimator must predict the same, so that versions can be
    reproduced.

    Args:
        tolerance: The largest difference in units of the predictions' magnitude (1 for probabilities); threads may
            change the order of sums.
    """

    tolerance: float = 1e-9

    name: ClassVar[str] = "determinism"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest difference."""
        try:
            first, second = evidence.fit_again()
        except EverfitError as error:
            sentence = f"The trainer could not be called 2 more times: {error}"
            return [refuse(self.name, sentence, threshold=self.tolerance)]
        difference = relative_difference(first, second, evidence.task)
        passed = difference <= self.tolerance
        remedy = "" if passed else " Give the estimator the trainer's seed as random_state."
        sentence = (
            f"Fitted twice with the seed {evidence.seed}, predictions differ by {difference:.2g} of their magnitude at "
            f"most; allowed are {self.tolerance:g}.{remedy}"
        )
        return [decide(self.name, passed, sentence, value=difference, threshold=self.tolerance)]
