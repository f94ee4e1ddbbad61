"""Gate: share of the hold-out's labels that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, percent, refuse


@dataclass(frozen=True, kw_only=True)
class LabelCoverage:
    """Of the labels that the hold-out will have in the end, enough must be known.

    Early labels are biased. Each is weighted by the inverse probability that its class is known so soon, here and in
    all other gates; but a few cannot represent all.

    Args:
        least: The smallest share of the expected labels that must be known. Events whose label never comes, by the
            history, are not counted.

    Raises:
        DefinitionError: If the share is not between 0 and 1.
    """

    least: float = 0.1

    name: ClassVar[str] = "label_coverage"

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise DefinitionError("least must be between 0 and 1 inclusive", value=self.least, place=self.name)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the share of the expected labels that are known."""
        labelled = len(evidence.truth)
        rows = labelled + evidence.unlabelled
        if not labelled:
            sentence = f"None of the {rows} rows in the hold-out's time has a label."
            return [refuse(self.name, sentence, threshold=self.least)]
        share = labelled / (labelled + evidence.labels_to_come)
        sentence = f"{labelled} of the {rows} rows in the hold-out's time have a label ({percent(labelled / rows)})"
        if evidence.labels_to_come >= 1:
            sentence += (
                f"; about {evidence.labels_to_come:.0f} more are to come, so that {percent(share)} are known, required "
                f"are {percent(self.least)}. Weighted by how seldom their class is known so soon, they are worth "
                f"{_effective_rows(evidence):.0f} rows"
            )
        passed = share >= self.least
        return [decide(self.name, passed, f"{sentence}.", value=share, threshold=self.least)]


def _effective_rows(evidence: Evidence) -> float:
    """Return the number of rows of equal weight that are as informative; Kish 1965, "Survey Sampling"."""
    return float(evidence.weight.sum() ** 2 / (evidence.weight**2).sum())
