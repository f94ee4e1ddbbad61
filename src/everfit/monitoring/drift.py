"""Drift of single columns, from two sketches of one layout: milliseconds, whatever the number of rows.

A column has drifted if its difference is *significant*, at a level that is shared by all columns and meant to be spread
over time, and *worthwhile*: a large window finds any difference significant, a small one any difference large. Drift
informs; that a model became worse is only known from labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Compare every column of a window with the reference, and return them by rank.

    Raises :class:`DataError` if the layouts differ, or a sketch has no rows.

    Args:
        importance: How much the model uses each column, not negative, in any unit; all alike by default. A column that
            is not named, such as the predictions, counts like the most important one.
        alpha: The chance that any column is called significant without a change; see
            :mod:`everfit.measures.confidence` for how to spread it over windows.
        worthwhile: The least ``effect`` that counts as drift.
        dispersions: From :func:`dispersions`: how much more real windows differ than independent rows would.
    """
    if reference.layout != window.layout:
        raise DataError("a window must be counted in the layout of its reference")
    if not reference.rows or not window.rows:
        raise DataError("drift needs rows on both sides", value=(reference.rows, window.rows))
    weights, known = importance or {}, dispersions or {}
    greatest = max(weights.values(), default=0.0)
    names = sorted(reference.layout.columns)
    pairs = [_Pair(name, reference.column(name), window.column(name), known.get(name)) for name in names]
    return ranked(
        pair.compare(
            p_value=p_value,
            alpha=alpha,
            worthwhile=worthwhile,
            importance=weights.get(pair.name, greatest) / greatest if greatest > 0 else 1.0,
        )
        for pair, p_value in zip(pairs, holm([pair.p_value() for pair in pairs]), strict=True)
    )


def ranked(columns: Iterable[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    """Return columns in the order of their rank."""
    ordered = sorted(columns, key=lambda one: (not one.drifted, -one.effect * one.importance, one.p_value))
    return tuple(replace(column, rank=rank) for rank, column in enumerate(ordered, start=1))


def dispersions(blocks: Sequence[Sketch]) -> dict[str, Dispersion]:
    """Return the overdispersion of each column, from successive windows of the reference such as those to be judged.

    Thirty days are enough for daily windows, two months are better. Raises :class:`DataError` if there are fewer than
    three windows.
    """
    if len(blocks) < 3:
        raise DataError("dispersion must be learnt from at least three windows", value=len(blocks))
    found = {}
    for name in blocks[0].layout.columns:
        columns = [block.column(name) for block in blocks]
        bins = len(columns[0].coarse()) if isinstance(columns[0].form, Bins) else 0
        found[name] = dispersion([_cells(column) for column in columns], ordered=bins)
    return found


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

    def p_value(self) -> float:
        """Of the chi-squared test and, for numbers, that of ranks: the smaller one, doubled for having had two."""
        found, known = chi_squared(*self.cells), self.dispersion
        rows = effective_rows(self.reference.rows, self.window.rows)
        spread = known.p_value(found, rows) if known else found.cautious_p_value
        if not isinstance(self.reference.form, Bins):
            return spread
        shift = rank_shift(self.reference.coarse(), self.window.coarse())
        moved = known.shift_p_value(shift, rows) if known else math.erfc(abs(shift) / math.sqrt(2.0))
        return min(1.0, 2.0 * min(spread, moved))

    def compare(self, *, p_value: float, alpha: float, worthwhile: float, importance: float) -> ColumnDrift:
        """Return the comparison, not ranked yet."""
        reference, window = self.reference, self.window
        cells = pool(*self.cells)
        index = psi(*cells)
        excess = self.dispersion.excess if self.dispersion else 0.0
        chance = psi_by_chance(len(cells[0]), reference.rows, window.rows) + excess
        effect = math.sqrt(max(0.0, index - chance))
        gap, distance, mean_change = self._distances()
        return ColumnDrift(
            column=self.name,
            kind="numeric" if isinstance(reference.form, Bins) else "categorical",
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

    def _distances(self) -> Iterator[float | None]:
        """Yield the three distances of a numeric column; ``None`` where it is another one, or they are undefined."""
        form, counts = self.reference.form, (self.reference.counts, self.window.counts)
        distances = [math.nan] * 3
        if isinstance(form, Bins):
            distances = [
                kolmogorov_smirnov(*counts),
                wasserstein(*counts, np.array(form.centres)) / form.scale,
                (self.window.mean - self.reference.mean) / form.scale,
            ]
        return (None if math.isnan(distance) else distance for distance in distances)
