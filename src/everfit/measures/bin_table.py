"""Binning of many values by table look-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

CHUNK = 65_536
"""Values at a time, so that what is made on the way stays in the processor's cache."""
_MOST_STEPS = 4


class BinTable:
    """Table look-up in place of a binary search: a value's cell of an even grid gives the first bin that it may be in,
    and a step or two finds the bin. Three to six times as fast as :func:`numpy.searchsorted`, with the same result.

    ``edges`` are the inner ends of each column's bins, float64 of shape ``(bins - 1,)``, ascending and finite;
    ``starts`` the number of each column's first bin, by default 0.

    >>> table = BinTable([np.array([1.0, 2.0])])
    >>> table.places(np.array([[1.0, 1.5, 7.0, np.inf, np.nan]])).tolist()
    [[0, 1, 2, 2, 3]]
    """

    def __init__(self, edges: Sequence[Floats], starts: Sequence[int] | None = None, *, cells: int = 4_096) -> None:
        columns = len(edges)
        self._ends = [np.append(inner, np.inf) for inner in edges]
        self._low, self._high, self._per_unit = (np.zeros((columns, 1)) for _ in range(3))
        self._grid = np.arange(columns)[:, None] * cells
        first, steps = np.zeros((columns, cells), dtype=np.intp), [0] * columns
        for index, inner in enumerate(edges):
            width = inner[-1] / 2 - inner[0] / 2 if len(inner) else 0.0
            # Columns whose edges are too near, or too far apart for a difference in float64, are searched.
            if cells / np.finfo(np.float64).max < width < np.finfo(np.float64).max / 2:
                self._low[index], self._high[index] = inner[0], inner[-1]
                self._per_unit[index] = (cells - 1) / width / 2
            # Edges are placed by the same arithmetic as the values, which rounding leaves monotonic: all values equal
            # to an edge are in its cell, and no smaller edge is in a later one.
            at = self._cells(inner[None], slice(index, index + 1))[0]
            first[index] = np.searchsorted(at, np.arange(cells), side="left")
            steps[index] = int(np.bincount(at).max(initial=0))
        self._searched = [index for index, count in enumerate(steps) if count > _MOST_STEPS]
        self._steps = max((count for count in steps if count <= _MOST_STEPS), default=0)
        lengths = np.array([[len(ends)] for ends in self._ends], dtype=np.intp).reshape(-1, 1)
        # All columns' ends one after another, and where in them each begins.
        offsets = np.cumsum(lengths, axis=0) - lengths
        self._all_ends = np.concatenate([np.zeros(0), *self._ends])
        self._first = (first + offsets).ravel()
        self._starts = np.zeros((columns, 1), dtype=np.intp) if starts is None else np.array(starts).reshape(-1, 1)
        self._shift = self._starts - offsets
        self._missing = self._starts + lengths

    def _cells(self, values: Floats, which: slice = slice(None)) -> NDArray[np.intp]:
        # fmax puts NaN into the first cell.
        within = np.fmax(values, self._low[which])
        np.fmin(within, self._high[which], out=within)
        within -= self._low[which]
        within *= self._per_unit[which]
        return within.astype(np.intp)

    def places(self, values: Floats) -> NDArray[np.intp]:
        """Return the number of each value's bin, float64 of shape ``(columns, rows)``; NaN's follows the last."""
        cells = self._cells(values)
        cells += self._grid
        place: NDArray[np.intp] = self._first.take(cells)
        for _ in range(self._steps):
            place += values > self._all_ends.take(place)
        place += self._shift
        for index in self._searched:
            np.add(self._ends[index].searchsorted(values[index]), self._starts[index], out=place[index])
        missing = np.isnan(values)
        if missing.any():
            np.copyto(place, self._missing, where=missing)
        return place

    def count(self, values: Floats) -> NDArray[np.int64]:
        """Count the values of a single column, shape ``(rows,)``, in each bin, and last those that are NaN."""
        size = len(self._ends[0]) + 1
        counts = np.zeros(size, dtype=np.int64)
        for start in range(0, len(values), CHUNK):
            counts += np.bincount(self.places(values[None, start : start + CHUNK])[0], minlength=size)
        return counts
