"""Whether what was saved is what was tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from everfit.core.errors import EverfitError
from everfit.gates.sameness import largest_difference
from everfit.gates.verdict import decide, refuse

if TYPE_CHECKING:
    from everfit.core.evidence import Evidence
    from everfit.core.records import Verdict


@dataclass(frozen=True, kw_only=True)
class Reload:
    """The package, saved and loaded again, must predict what the estimator in memory predicts.

    Args:
        tolerance: The largest difference, absolute where predictions are below 1 and relative above.
    """

    tolerance: float = 1e-9

    name: ClassVar[str] = "reload"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest difference."""
        try:
            loaded = evidence.predict_packaged()
        except EverfitError as error:
            sentence = f"The saved package cannot predict the {len(evidence.truth)} rows of the hold-out: {error}"
            return [refuse(self.name, sentence, threshold=self.tolerance)]
        difference = largest_difference(loaded, evidence.predicted)
        passed = difference <= self.tolerance
        sentence = (
            f"Saved and loaded again, the predictions of {len(evidence.predicted)} rows differ by {difference:.2g} "
            f"at most; allowed are {self.tolerance:g}."
        )
        return [decide(self.name, passed, sentence, value=difference, threshold=self.tolerance)]
