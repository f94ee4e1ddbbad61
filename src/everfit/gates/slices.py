"""Gate: the metric in every slice of the hold-out against all rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.gates.verdict import decide, refuse, skip
from everfit.measures.interval import bootstrap_interval
from everfit.measures.quality import Metric, metric_for


@dataclass(frozen=True, kw_only=True)
class _Gap:
    value: str
    rows: int
    score: float
    gap: float
    """Loss against all rows; positive is worse."""
    sure: float
    """Lower confidence limit of the gap."""


@dataclass(frozen=True)
class Slices:
    """In no slice of the hold-out may the metric be much worse than overall.

    A gap counts only beyond sampling error: its bootstrap standard error, times the normal quantile with 5 % false
    alarms over all slices together (Bonferroni), is subtracted first.

    Args:
        column: A request field or feature; each of its values is a slice.
        max_gap: Largest loss of the metric in a slice, in its own unit; where that is the label's unit (mean
            absolute error and the like), in standard deviations of the label.
        min_rows: Slices with fewer rows are not judged.
    """

    column: str
    _: KW_ONLY
    max_gap: float = 0.1
    min_rows: int = 200

    @property
    def name(self) -> str:
        """One name per column, so that several can stand in one report."""
        return f"slices_{self.column}"

    def judge(self, evidence: Evidence) -> Sequence[Verdict]:
        """One verdict; its value is the largest gap."""
        if self.column not in evidence.holdout.columns:
            known = ", ".join(evidence.holdout.columns)
            sentence = f"There is no column {self.column!r} to slice by; the {evidence.holdout.width} columns: {known}."
            return [refuse(self.name, sentence, threshold=self.max_gap)]
        metric = metric_for(evidence.metric, evidence.task)
        overall = metric.compute(evidence.truth, evidence.predicted, evidence.weight)
        if not math.isfinite(overall):
            sentence = f"The metric {metric.name} cannot be measured on all {len(evidence.truth)} rows."
            return [refuse(self.name, sentence, threshold=self.max_gap)]
        parts = [part for part in _parts(evidence, self.column) if len(part[1]) >= self.min_rows]
        gaps = [gap for part in parts if (gap := _gap(evidence, metric, overall, *part, slices=len(parts)))]
        if not gaps:
            sentence = f"No value of {self.column} has {self.min_rows} rows or more on which to judge {metric.name}."
            return [skip(self.name, sentence)]
        worse = [gap for gap in gaps if gap.sure > self.max_gap]
        worst = max(worse or gaps, key=lambda found: found.gap)
        unit = " standard deviations of the label" if metric.in_label_unit else ""
        where = f"{self.column} = {worst.value} ({worst.rows} rows): {metric.name} {worst.score:.4g}"
        apart = f"{abs(worst.gap):.4g}{unit} {'worse' if worst.gap > 0 else 'better'} than the overall {overall:.4g}"
        head = f"{len(worse)} of {len(gaps)} slices fall" if worse else f"None of {len(gaps)} slices falls"
        sentence = f"{head} behind; the worst is {where}, {apart}; allowed are {self.max_gap:g} beyond chance."
        return [decide(self.name, not worse, sentence, value=worst.gap, threshold=self.max_gap)]


def _parts(evidence: Evidence, column: str) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield every value of the column, as text, with the places of its rows; missing is a slice of its own."""
    codes = evidence.holdout.select(pl.col(column).rank("dense").cast(pl.Int64).fill_null(0)).to_series().to_numpy()
    values = evidence.holdout[column].cast(pl.String)
    order = np.argsort(codes, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if len(places):
            yield values[int(places[0])] or "missing", places


def _gap(
    evidence: Evidence, metric: Metric, overall: float, value: str, places: NDArray[np.intp], *, slices: int
) -> _Gap | None:
    """Measure the gap of a slice; ``None`` where the metric is undefined in it."""
    truth, predicted, weight = evidence.truth[places], evidence.predicted[places], evidence.weight[places]
    drawn = {"resamples": evidence.bootstrap, "seed": evidence.seed}
    found = bootstrap_interval(metric, truth, predicted, **drawn, weight=weight)
    if not (math.isfinite(found.value) and math.isfinite(found.standard_error)):
        return None
    unit = float(evidence.truth.std()) or 1.0 if metric.in_label_unit else 1.0
    gap = metric.worse_by(found.value, overall) / unit
    chance = NormalDist().inv_cdf(1.0 - 0.05 / slices) * found.standard_error / unit
    return _Gap(value=value, rows=len(places), score=found.value, gap=gap, sure=gap - chance)
