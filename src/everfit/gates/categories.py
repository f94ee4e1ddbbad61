"""Gate: share of rows with a category that training did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.columns import features_of, is_category
from everfit.gates.verdict import decide, percent, skip
from everfit.measures.proportion import wilson_interval


@dataclass(frozen=True, kw_only=True)
class NewCategories:
    """Few rows of the hold-out may have a category that the candidate did not learn; it treats them as missing.

    Args:
        max_share: The largest allowed share of such rows, for each feature. A share counts only as far as the lower
            end of its 99.9 % Wilson interval.
    """

    max_share: float = 0.05

    name: ClassVar[str] = "new_categories"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the greatest share."""
        features = [name for name in features_of(evidence) if is_category(evidence.reference.schema[name])]
        rows = len(evidence.holdout)
        if not features or rows == 0:
            return [skip(self.name, f"There are {len(features)} categorical features and {rows} rows to look at.")]
        counts = {name: _unseen(evidence, name) for name in features}
        new = [name for name in features if wilson_interval(counts[name], rows, level=0.999)[0] > self.max_share]
        worst = max(features, key=lambda name: counts[name])
        share = counts[worst] / rows
        sentence = (
            f"{counts[worst]} of {rows} rows ({percent(share)}) have a {worst} that was not seen in training, "
            f"the most among {len(features)} categorical features; allowed are {percent(self.max_share)}."
        )
        return [decide(self.name, not new, sentence, value=share, threshold=self.max_share)]


def _unseen(evidence: Evidence, name: str) -> int:
    """Count rows with a category that is not in the reference; a missing one is not new."""
    known = evidence.reference[name].cast(pl.String).drop_nulls().unique()
    present = evidence.holdout[name].cast(pl.String).drop_nulls()
    return int((~present.is_in(known.implode())).sum())
