"""Gate: distribution of the label in the hold-out against training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.class_names import quoted
from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, percent, refuse
from everfit.measures.confidence import wilson_interval
from everfit.measures.overdispersion import design_effect

_FEWEST = 100
"""Fewest labelled rows of a window that the hold-out is compared with; chosen."""


@dataclass(frozen=True, kw_only=True)
class LabelBalance:
    """The label must be more than one value, and distributed about as it was in training.

    The hold-out is a part of a season. It is compared with all training rows, and with each window of them that is as
    long as the hold-out; what comes nearest counts. Rows of one day count as fewer where days differ by more than
    chance (:func:`everfit.measures.overdispersion.design_effect`).

    Args:
        max_ratio: Largest factor by which a class's odds may rise or fall, counted as far as a 99.9 % Wilson interval
            allows; a class that the champion does not know, or that only the hold-out has, is new, so that its share
            is stated and not judged. For regression: largest shift of the median, in quartile distances.
    """

    max_ratio: float = 3.0
    name: ClassVar[str] = "label_balance"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest factor, or the distance that the median moved."""
        values = np.unique(evidence.truth)
        if len(values) < 2:
            found = f"All {len(evidence.truth)} labelled rows of the hold-out have {len(values)} label value"
            sentence = f"{found}, so that there are no classes to compare."
            return [refuse(self.name, sentence, threshold=self.max_ratio)]
        if evidence.reference[LABEL].null_count() == len(evidence.reference):
            return [refuse(self.name, "The reference holds 0 labelled rows.", threshold=self.max_ratio)]
        return [self._median(evidence) if evidence.task == "regression" else self._classes(evidence)]

    def _classes(self, evidence: Evidence) -> Verdict:
        counts, unknown = _effective_counts(evidence)
        codes, windows = _codes(evidence), _windows(evidence)
        before = _counts(codes, len(evidence.classes))
        compared = [before, *(_counts(codes[inside], len(evidence.classes)) for inside in windows)]
        rows, days = int(counts.sum()) + unknown, evidence.reference[TIME].dt.epoch("d").to_numpy()
        ratios = [
            1.0
            if _is_new(evidence, value)
            else _least_ratio(
                int(counts[place]),
                rows,
                [(int(then[place]), int(then.sum())) for then in compared],
                design_effect((codes == place).astype(np.float64), days),
            )
            for place, value in enumerate(evidence.classes)
        ]
        worst = int(np.argmax(ratios))
        shares = [then[worst] / then.sum() for then in compared]
        spread = f" ({percent(min(shares))} to {percent(max(shares))} in windows as long)" if windows else ""
        sentence = (
            f"{evidence.classes[worst]!r} is the label of {_share(evidence, worst)}, after {percent(shares[0])} in "
            f"training{spread}; beyond chance its odds changed by a factor of "
            f"{ratios[worst]:.2f}, allowed are {self.max_ratio:g}.{_new_classes(evidence)}"
        )
        passed = ratios[worst] <= self.max_ratio
        return decide(self.name, passed, sentence, value=ratios[worst], threshold=self.max_ratio)

    def _median(self, evidence: Evidence) -> Verdict:
        labels = evidence.reference[LABEL].cast(float).fill_null(np.nan).to_numpy()
        low, middle, high = np.nanquantile(labels, [0.25, 0.5, 0.75])
        # A label that is mostly one value has no quartile distance; its standard deviation is the next best unit.
        spread = (high - low) or np.nanstd(labels)
        now = float(np.median(evidence.truth))
        medians = [middle, *(np.median(labels[inside]) for inside in _windows(evidence))]
        least, most = float(min(medians)), float(max(medians))
        beyond = max(least - now, now - most, 0.0)
        moved = beyond / spread if spread else float(beyond > 0) * float("inf")
        windows = f" ({least:.4g} to {most:.4g} in windows as long)" if len(medians) > 1 else ""
        sentence = (
            f"The median label is {now:.4g}, after {middle:.4g} in training{windows}: moved by {moved:.2f} quartile "
            f"distances, allowed are {self.max_ratio:g}."
        )
        return decide(self.name, bool(moved <= self.max_ratio), sentence, value=moved, threshold=self.max_ratio)


def _windows(evidence: Evidence) -> list[NDArray[np.int64]]:
    """Return the labelled rows of each window of the reference that is as long as the hold-out and has enough of them.

    They are places in the reference. A hold-out of an instant, as of rows that were loaded at once, has no windows.
    """
    times, ends = evidence.reference[TIME].to_physical(), evidence.holdout[TIME].to_physical()
    begin, last, first = (int(np.asarray(found)) for found in (ends.min(), ends.max(), times.min()))
    length = last - begin
    whole = (begin - first) // length if length else 0
    if whole < 2:
        return []
    window = (begin - times.to_numpy() - 1) // length
    rows = np.flatnonzero(evidence.reference[LABEL].is_not_null().to_numpy() & (window >= 0) & (window < whole))
    rows = rows[np.argsort(window[rows], kind="stable")]
    # By the rows, not by the windows: of a short hold-out and a long history there are far more of these.
    parts = np.split(rows, np.flatnonzero(np.diff(window[rows])) + 1)
    return [part for part in parts if len(part) >= _FEWEST]


def _least_ratio(now: int, rows: int, before: Sequence[tuple[int, int]], effect: float) -> float:
    """Return the least factor against any of the counts before; all are divided by a design effect."""
    own = round(now / effect), max(round(rows / effect), 1)
    return min(_ratio(*own, round(then / effect), max(round(all_then / effect), 1)) for then, all_then in before)


def _ratio(now: int, rows: int, then: int, rows_before: int) -> float:
    """Return the least factor, at least 1, between the odds that the intervals of both shares still allow."""
    low, high = (_odds(end) for end in wilson_interval(now, rows, level=0.999))
    low_before, high_before = (_odds(end) for end in wilson_interval(then, rows_before, level=0.999))
    risen = low / high_before if high_before else float("inf")
    return max(1.0, risen, low_before / high if high else float("inf"))


def _odds(share: float) -> float:
    return share / (1.0 - share) if share < 1.0 else float("inf")


def _share(evidence: Evidence, place: int) -> str:
    """Describe the share of a class, weighted for label delay, and unweighted where that differs."""
    hits = evidence.truth == place
    rows, raw, share = len(hits), percent(hits.mean()), percent(np.average(hits, weights=evidence.weight))
    if (evidence.weight == 1.0).all():
        return f"{raw} of {rows} rows"
    return f"{share} of {rows} rows, weighted as early labels must be ({raw} as they are)"


def _is_new(evidence: Evidence, value: object) -> bool:
    """Return true for a class that the champion does not know: its odds grow from 0 by any factor."""
    return bool(evidence.champion_learnt) and value not in evidence.champion_learnt


def _new_classes(evidence: Evidence) -> str:
    """Describe, with a leading space, rows of classes that the candidate or the champion did not learn."""
    rows, found = len(evidence.truth), ""
    unknown = evidence.truth < 0
    if unknown.any():
        values = evidence.holdout[LABEL].filter(unknown).value_counts(sort=True)[LABEL].to_list()
        found += (
            f" {int(unknown.sum()):,} of {rows:,} rows ({percent(unknown.mean())}) are of classes that only the "
            f"hold-out has ({quoted(values)}): they are scored as wrong as can be, and learnt once the candidate is "
            "fitted again on all rows."
        )
    new = [place for place, value in enumerate(evidence.classes) if _is_new(evidence, value)]
    if new:
        share = np.isin(evidence.truth, new).mean()
        names = quoted([evidence.classes[place] for place in new])
        found += f" New since the champion was trained: {names}, {percent(share)} of the rows."
    return found


def _effective_counts(evidence: Evidence) -> tuple[NDArray[np.int64], int]:
    """Effective number of rows (Kish 1965) of each class, and of rows of any other class."""
    weight, classes = evidence.weight, len(evidence.classes)
    place = np.where(evidence.truth < 0, classes, evidence.truth).astype(np.int64)
    counts = np.bincount(place, weights=weight, minlength=classes + 1)
    found: NDArray[np.int64] = np.round(counts * weight.sum() / (weight**2).sum()).astype(np.int64)
    return found[:classes], int(found[classes])


def _codes(evidence: Evidence) -> NDArray[np.int64]:
    """Return the class of each row of the reference, as its place among the classes; -1 for others and none."""
    # Classes are text or whole numbers, with False and True for 0 and 1; the column may be a category or a float.
    text = any(isinstance(label, str) for label in evidence.classes)
    labels = evidence.reference[LABEL].cast(pl.String if text else pl.Int64)
    places = {label if text else int(label): place for place, label in enumerate(evidence.classes)}
    found: NDArray[np.int64] = labels.replace_strict(places, default=-1, return_dtype=pl.Int64).to_numpy()
    return found


def _counts(codes: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    return np.bincount(codes[codes >= 0], minlength=classes)
