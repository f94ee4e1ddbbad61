"""Gates of the hold-out's rows: missing values, new categories, labels that are known, age of the sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import polars as pl

from everfit.core.duration import format_roughly, parse_duration
from everfit.core.errors import DefinitionError
from everfit.core.evidence import Evidence, SourceFreshness
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, percent, refuse, skip
from everfit.measures.confidence import wilson_interval


def features_of(evidence: Evidence) -> tuple[str, ...]:
    """Return the features that both frames hold, in the estimator's order."""
    shared = {*evidence.reference.columns} & {*evidence.holdout.columns}
    return tuple(name for name in evidence.features if name in shared)


def is_category(dtype: pl.DataType) -> bool:
    """Return true if the column's values are names rather than numbers."""
    return dtype in (pl.String, pl.Categorical, pl.Enum)


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
        before, now = (_missing_shares(frame, features) for frame in (evidence.reference, evidence.holdout))
        sure = {name: wilson_interval(round(now[name] * rows), rows, level=0.999)[0] for name in features}
        grown = [name for name in features if sure[name] - before[name] > self.max_increase]
        worst = max(grown or features, key=lambda name: now[name] - before[name])
        if grown:
            head = f"{len(grown)} of {len(features)} features went missing ({', '.join(grown)})"
        else:
            head = f"None of {len(features)} features went missing; the largest increase"
        sentence = (
            f"{head}: {worst} is missing in {percent(now[worst])} of rows, after {percent(before[worst])} in training; "
            f"allowed is an increase by {percent(self.max_increase)}."
        )
        increase = now[worst] - before[worst]
        return [decide(self.name, not grown, sentence, value=increase, threshold=self.max_increase)]


def _missing_shares(frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, float]:
    """Return the share of rows without a value, null or NaN, for each column."""
    floats = [name for name in columns if frame.schema[name].is_float()]
    return (
        frame.select(columns)
        .with_columns(pl.col(floats).fill_nan(None))
        .select(pl.all().is_null().mean())
        .row(0, named=True)
    )


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
    known, present = (frame[name].cast(pl.String).drop_nulls() for frame in (evidence.reference, evidence.holdout))
    return int((~present.is_in(known.unique().implode())).sum())


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
        labelled, weight = len(evidence.truth), evidence.weight
        rows = labelled + evidence.unlabelled
        if not labelled:
            sentence = f"None of the {rows} rows in the hold-out's time has a label."
            return [refuse(self.name, sentence, threshold=self.least)]
        share = labelled / (labelled + evidence.labels_to_come)
        sentence = f"{labelled} of the {rows} rows in the hold-out's time have a label ({percent(labelled / rows)})"
        if evidence.labels_to_come >= 1:
            # Rows of equal weight that are as informative; Kish 1965, "Survey Sampling".
            effective_rows = float(weight.sum() ** 2 / (weight**2).sum())
            sentence += (
                f"; about {evidence.labels_to_come:.0f} more are to come, so that {percent(share)} are known, required "
                f"are {percent(self.least)}. Weighted by how seldom their class is known so soon, they are worth "
                f"{effective_rows:.0f} rows"
            )
        sentence = f"{sentence}.{_describe_holdout(evidence)}"
        return [decide(self.name, share >= self.least, sentence, value=share, threshold=self.least)]


def _describe_holdout(evidence: Evidence) -> str:
    """Describe, with a leading space, the time of the hold-out and the reason for its size, and the training window."""
    chosen = f" {evidence.history_choice}" if evidence.history_choice else ""
    if evidence.holdout_from is None:
        return chosen
    return f" The hold-out is {evidence.holdout_rule}: from {evidence.holdout_from:%Y-%m-%d %H:%M} UTC on.{chosen}"


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The newest row behind every view must be young enough at the end of the frame, or its features go missing.

    Args:
        max_age: The oldest that a source's newest row may be, ``"2h"``; by default the ttl of the view it feeds.

    Raises:
        DefinitionError: If ``max_age`` is not a positive duration.
    """

    max_age: str = ""
    name: ClassVar[str] = "freshness"

    def __post_init__(self) -> None:
        if self.max_age:
            parse_duration(self.max_age, name="max_age")

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the highest age as a multiple of what is allowed."""
        if not evidence.freshness:
            return [skip(self.name, "0 views are looked up, so no source can be stale.")]
        stale = [found for found in evidence.freshness if self._relative_age(found) > 1.0]
        worst = max(evidence.freshness, key=self._relative_age)
        if stale:
            clauses = "; ".join(self._describe(found) for found in stale)
            sentence = f"{len(stale)} of {len(evidence.freshness)} views are fed by a stale source: {clauses}."
        else:
            oldest = self._describe(worst)
            sentence = f"None of {len(evidence.freshness)} views is fed by a stale source; the oldest: {oldest}."
        return [decide(self.name, not stale, sentence, value=self._relative_age(worst), threshold=1.0)]

    def _limit(self, found: SourceFreshness) -> timedelta:
        return parse_duration(self.max_age) if self.max_age else found.ttl

    def _relative_age(self, found: SourceFreshness) -> float:
        return float("inf") if found.age is None else found.age / self._limit(found)

    def _describe(self, found: SourceFreshness) -> str:
        if found.age is None:
            return f"{found.source} for {found.view} holds 0 rows"
        age, limit = format_roughly(found.age), format_roughly(self._limit(found))
        return f"{found.source} for {found.view} ended {age} before the frame, allowed are {limit}"
