"""Drift of single columns: effect size, significance, and importance to the model.

Everything is read from two sketches of one layout, so that it costs milliseconds whatever the number of rows. A column
has drifted if its difference is *significant*, at a level that is shared by all columns and meant to be spread over
time, and *worthwhile*: a large window finds any difference significant, a small one any difference large.

Drift informs. That a model became worse is only known from labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.bins import Bins
from everfit.measures.confidence import alpha_per_window, holm
from everfit.measures.distances import jensen_shannon, kolmogorov_smirnov, psi, psi_by_chance, wasserstein
from everfit.measures.overdispersion import Dispersion, dispersion, effective_rows
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.measures.two_sample_tests import chi_squared, pool, rank_shift

ALPHA = alpha_per_window(0.05, 365)
"""For daily windows: the chance of any alarm in a stationary year is at most one in twenty."""
WORTHWHILE = 0.1
"""As far as a tenth of its standard deviation moves a normal column."""


class ColumnDrift(Struct, frozen=True, kw_only=True):
    """Difference of one column between a window and the reference."""

    column: str
    kind: Literal["numeric", "categorical"]
    drifted: bool
    """True if the difference is significant and large enough."""
    p_value: float
    """The chance of such a difference without a change, corrected for the number of columns."""
    effect: float
    """The root of what ``psi`` is beyond chance: a normal column that moves by ``d`` standard deviations has about
    ``d``."""
    importance: float
    """The column's to the model, the greatest being 1."""
    rank: int
    """From 1: drifted ones first, then by ``effect * importance``."""
    psi: float
    """Over coarse bins or categories, rare ones pooled, what is missing being one more."""
    jensen_shannon: float
    """Distance over the same cells, from 0 to 1."""
    kolmogorov_smirnov: float | None
    """Over fine bins; numeric columns only, as all that follow but the shares."""
    wasserstein: float | None
    """Over fine bins, in standard deviations of the reference."""
    mean_change: float | None
    """In standard deviations of the reference."""
    missing_share: float
    missing_share_change: float
    unseen_share: float
    """Of categories that the reference does not hold."""
    rows: int


def drift(
    reference: Sketch,
    window: Sketch,
    *,
    importance: Mapping[str, float] | None = None,
    alpha: float = ALPHA,
    worthwhile: float = WORTHWHILE,
    dispersions: Mapping[str, Dispersion] | None = None,
) -> tuple[ColumnDrift, ...]:
    """Compare every column of a window with the reference.

    The predictions are judged alike: give them a column of the layout.

    Args:
        reference: What the model learnt from, or the same season, or a trailing window.
        window: What is to be judged, counted in the reference's layout.
        importance: How much the model uses each column, not negative, in any unit; all alike by default. A column that
            is not named, such as the predictions, counts like the most important one.
        alpha: The chance that any column is called significant without a change; see
            :mod:`everfit.measures.confidence` for how to spread it over windows.
        worthwhile: The least ``effect`` that counts as drift.
        dispersions: From :func:`dispersions`: how much more real windows differ than independent rows would.

    Returns:
        By rank.

    Raises:
        DataError: If the layouts differ, or a sketch has no rows.
    """
    if reference.layout != window.layout:
        raise DataError("a window must be counted in the layout of its reference")
    if not reference.rows or not window.rows:
        raise DataError("drift needs rows on both sides", value=(reference.rows, window.rows))
    weights = _weights(tuple(reference.layout.columns), importance or {})
    known = dispersions or {}
    pairs = [_Pair(name, reference.column(name), window.column(name), known.get(name)) for name in weights]
    corrected = holm([pair.p_value() for pair in pairs])
    found = [
        pair.compare(p_value=p_value, alpha=alpha, worthwhile=worthwhile, importance=weights[pair.name])
        for pair, p_value in zip(pairs, corrected, strict=True)
    ]
    found.sort(key=lambda one: (not one.drifted, -one.effect * one.importance, one.p_value, one.column))
    return tuple(replace(one, rank=rank) for rank, one in enumerate(found, start=1))


def dispersions(blocks: Sequence[Sketch]) -> dict[str, Dispersion]:
    """Return the overdispersion of each column, from windows of the reference.

    Args:
        blocks: Sketches of one layout, of successive windows of the reference such as those to be judged: thirty days
            for daily windows, better two months.

    Raises:
        DataError: If there are fewer than three.
    """
    if len(blocks) < 3:
        raise DataError("dispersion must be learnt from at least three windows", value=len(blocks))
    found = {}
    for name in blocks[0].layout.columns:
        columns = [block.column(name) for block in blocks]
        bins = len(columns[0].coarse()) if isinstance(columns[0].form, Bins) else 0
        found[name] = dispersion([_cells(column) for column in columns], ordered=bins)
    return found


def _weights(columns: Sequence[str], importance: Mapping[str, float]) -> dict[str, float]:
    greatest = max(importance.values(), default=0.0)
    return {name: importance.get(name, greatest) / greatest if greatest > 0 else 1.0 for name in columns}


def _cells(column: ColumnSketch) -> NDArray[np.int64]:
    return np.append(column.coarse(), column.missing)


@dataclass(frozen=True)
class _Pair:
    """One column of the reference and of the window."""

    name: str
    reference: ColumnSketch
    window: ColumnSketch
    dispersion: Dispersion | None

    @property
    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        reference, form = _cells(self.reference), self.reference.form
        if not isinstance(form, Bins) and reference[form.unseen] == 0:
            # Nothing is new to itself. Had each row been held against all others, those that are the only ones of their
            # category would have been: so many are to be expected in a window, or a column of names always drifts.
            once = min(round(form.novelty * self.reference.present), int(reference[form.other]))
            reference[form.other] -= once
            reference[form.unseen] += once
        return reference, _cells(self.window)

    @property
    def effective_rows(self) -> float:
        return effective_rows(self.reference.rows, self.window.rows)

    def p_value(self) -> float:
        """Of the chi-squared test and, for numbers, that of ranks: the smaller one, doubled for having had two."""
        found = chi_squared(*self.cells)
        spread = self.dispersion.p_value(found, self.effective_rows) if self.dispersion else found.cautious_p_value
        if not isinstance(self.reference.form, Bins):
            return spread
        shift = rank_shift(self.reference.coarse(), self.window.coarse())
        if self.dispersion:
            return min(1.0, 2.0 * min(spread, self.dispersion.shift_p_value(shift, self.effective_rows)))
        return min(1.0, 2.0 * min(spread, math.erfc(abs(shift) / math.sqrt(2.0))))

    def compare(self, *, p_value: float, alpha: float, worthwhile: float, importance: float) -> ColumnDrift:
        """Return the comparison, not ranked yet."""
        reference, window = self.reference, self.window
        cells = pool(*self.cells)
        index = psi(*cells)
        excess = self.dispersion.excess if self.dispersion else 0.0
        chance = psi_by_chance(len(cells[0]), reference.rows, window.rows) + excess
        effect = math.sqrt(max(0.0, index - chance))
        numeric = isinstance(reference.form, Bins)
        gap, distance, mean_change = self._numeric() if isinstance(reference.form, Bins) else (None, None, None)
        return ColumnDrift(
            column=self.name,
            kind="numeric" if numeric else "categorical",
            drifted=p_value <= alpha and effect >= worthwhile,
            p_value=p_value,
            effect=effect,
            importance=importance,
            rank=0,
            psi=index,
            jensen_shannon=jensen_shannon(*cells),
            kolmogorov_smirnov=gap,
            wasserstein=distance,
            mean_change=mean_change,
            missing_share=window.missing / window.rows,
            missing_share_change=window.missing / window.rows - reference.missing / reference.rows,
            unseen_share=0.0 if isinstance(window.form, Bins) else int(window.counts[window.form.unseen]) / window.rows,
            rows=window.rows,
        )

    def _numeric(self) -> tuple[float | None, float | None, float | None]:
        form = self.reference.form
        assert isinstance(form, Bins)
        counts = self.reference.counts, self.window.counts
        distances = (
            kolmogorov_smirnov(*counts),
            wasserstein(*counts, np.array(form.centres)) / form.scale,
            (self.window.mean - self.reference.mean) / form.scale,
        )
        gap, distance, change = (None if math.isnan(one) else one for one in distances)
        return gap, distance, change
