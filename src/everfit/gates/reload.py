"""The saved package compared with the estimator in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from everfit.artifact.tolerance import TOLERANCES, relative_difference
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, refuse


@dataclass(frozen=True, kw_only=True)
class Reload:
    """The package, saved and loaded again, must predict what the estimator in memory predicts.

    Args:
        tolerance: The largest difference in units of the predictions' magnitude (1 for probabilities). By default that
            of the arithmetic of the runtime that serves: 1e-9 for float64, 1e-6 for float32.
    """

    tolerance: float | None = None

    name: ClassVar[str] = "reload"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest difference."""
        tolerance = TOLERANCES[evidence.arithmetic] if self.tolerance is None else self.tolerance
        runtime, rows = f"the runtime {evidence.runtime} in {evidence.arithmetic}", len(evidence.predicted)
        try:
            loaded = evidence.predict_packaged()
        except Exception as error:  # noqa: BLE001 - whatever the estimator's library raises is the finding
            sentence = f"The saved package cannot predict the {rows} rows of the hold-out by {runtime}: {error}"
            return [refuse(self.name, sentence, threshold=tolerance)]
        difference = relative_difference(loaded, evidence.predicted, evidence.task)
        sentence = (
            f"Saved, loaded again and executed by {runtime}, the predictions of {rows} rows differ by "
            f"{difference:.2g} of their magnitude at most; allowed are {tolerance:g}."
        )
        return [decide(self.name, difference <= tolerance, sentence, value=difference, threshold=tolerance)]
