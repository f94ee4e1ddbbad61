"""Missing values of a column in windows of a reference: days differ, and a sensor that often fails is no news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.measures.overdispersion import Dispersion, dispersion, effective_rows
from everfit.measures.sketch import ColumnSketch
from everfit.measures.two_sample_tests import chi_squared


@dataclass(frozen=True, kw_only=True)
class UsualGaps:
    """Missing values of one column in successive windows of a reference."""

    largest: float
    """Largest share of a window that was missing."""
    spread: Dispersion
    """Overdispersion of what is missing."""

    def p_value(self, reference: ColumnSketch, window: ColumnSketch) -> float:
        """Return the probability of such a difference between days without a change."""
        found = chi_squared(_cells(reference), _cells(window))
        return self.spread.p_value(found, effective_rows(reference.rows, window.rows))


def usual_gaps(windows: Sequence[ColumnSketch]) -> UsualGaps:
    """Learn from one column in successive windows, at least three."""
    shares = [window.missing / window.rows for window in windows if window.rows]
    return UsualGaps(largest=max(shares, default=0.0), spread=dispersion([_cells(window) for window in windows]))


def _cells(column: ColumnSketch) -> NDArray[np.int64]:
    return np.array([column.present, column.missing], dtype=np.int64)
