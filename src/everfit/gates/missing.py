"""Gate: share of missing values against training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.columns import features_of, missing_shares
from everfit.gates.verdict import decide, percent, skip
from everfit.measures.proportion import wilson_interval


@dataclass(frozen=True, kw_only=True)
class MissingShare:
    """No feature may be missing much more often on the hold-out than on the rows the candidate learnt from.

    Args:
        max_increase: By how much the share of missing values may grow. The growth counts only as far as the lower
            end of a 99.9 % Wilson interval of the hold-out's share, so that few rows do not fail by chance. Seasons
            alone move it: gusts of wind go unreported in 73 % of the hours before a New York summer, and 87 % in it.
    """

    max_increase: float = 0.2

    name: ClassVar[str] = "missing_share"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the greatest increase."""
        features, rows = features_of(evidence), len(evidence.holdout)
        if not features or rows == 0 or len(evidence.reference) == 0:
            return [skip(self.name, f"There are {len(features)} features and {rows} rows to compare.")]
        before = missing_shares(evidence.reference, features)
        now = missing_shares(evidence.holdout, features)
        sure = {name: wilson_interval(round(now[name] * rows), rows, level=0.999)[0] for name in features}
        grown = [name for name in features if sure[name] - before[name] > self.max_increase]
        worst = max(grown or features, key=lambda name: now[name] - before[name])
        clause = f"{worst} is missing in {percent(now[worst])} of rows, after {percent(before[worst])} in training"
        allowed = f"allowed is an increase by {percent(self.max_increase)}"
        if grown:
            sentence = (
                f"{len(grown)} of {len(features)} features went missing ({', '.join(grown)}): {clause}; {allowed}."
            )
        else:
            sentence = f"None of {len(features)} features went missing; the largest increase: {clause}; {allowed}."
        increase = now[worst] - before[worst]
        return [decide(self.name, not grown, sentence, value=increase, threshold=self.max_increase)]
