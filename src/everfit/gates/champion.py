"""Gate: the candidate compared with the champion on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.comparison import classes_apart, compare_with_champion
from everfit.gates.verdict import decide, refuse, skip


@dataclass(frozen=True)
class BeatsChampion:
    """The candidate must not be worse than the champion on the same rows, by paired bootstrap.

    Args:
        margin: Tolerated loss, in the metric's own unit.
        alpha: Probability that a candidate which is exactly ``margin`` worse fails.
        strictly: Require it to be significantly better; ``alpha`` is then the probability that one which is not
            better passes.

    Raises:
        DefinitionError: If the margin is negative, or alpha not between 0 and 0.5.
    """

    _: KW_ONLY
    margin: float = 0.0
    alpha: float = 0.05
    strictly: bool = False

    name: ClassVar[str] = "beats_champion"

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise DefinitionError("margin must not be negative", value=self.margin, place=self.name)
        if not 0 < self.alpha < 0.5:
            raise DefinitionError("alpha must be between 0 and 0.5", value=self.alpha, place=self.name)

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the loss against the champion in the metric's unit, below 0 if better."""
        version = evidence.champion_version
        if evidence.champion_problem or (version is not None and evidence.champion is None):
            why = evidence.champion_problem or "it has no predictions of the hold-out"
            sentence = f"The champion, version {version}, could not be scored on the same rows: {why.rstrip('.')}."
            return [refuse(self.name, sentence, threshold=self.margin)]
        if evidence.champion is None:
            return [skip(self.name, "There is no champion yet: 0 versions to compare with.")]
        found = compare_with_champion(evidence, evidence.champion, alpha=self.alpha)
        passed = found.defined and (found.paired.high < 0 if self.strictly else found.paired.low <= self.margin)
        sentence = f"{self._conclusion(passed)}: {found.describe('champion')}."
        if evidence.champion_stand_in:
            sentence += " The champion has learnt from these rows, so its recipe was fitted again without them."
        if evidence.paired is not None:
            sentence += classes_apart(evidence)
        return [decide(self.name, passed, sentence, value=found.paired.difference, threshold=self.margin)]

    def _conclusion(self, passed: bool) -> str:
        if self.strictly:
            return "The candidate is significantly better" if passed else "The candidate is not significantly better"
        beyond = f" by more than {self.margin:g}" if self.margin else ""
        return f"The candidate is {'not significantly' if passed else 'significantly'} worse{beyond}"
