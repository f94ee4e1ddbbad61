"""Bins of a column at the quantiles of a reference, or its categories.

Equal widths would hide a shift of a skewed column (a lognormal's PSI of 2.1 becomes 0.008), so that a numeric column is
cut at the reference's own quantiles, finely, and the fine bins nest in the few coarse ones that tests use: the counts
of a coarse bin are a sum of fine ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.weighting import Floats

Category = str | int | bool
"""Types of a category; a missing one is ``None``."""


class Bins(Struct, frozen=True, kw_only=True, tag="bins"):
    """The bins of a numeric column. Bin ``i`` holds ``edges[i - 1] < value <= edges[i]``; the last has no upper end.

    Infinities fall into the outer bins; NaN is missing.
    """

    edges: tuple[float, ...]
    """Inner ends of the fine bins, ascending and finite: one fewer than there are bins."""
    coarse: tuple[int, ...]
    """The fine bin that each coarse bin starts with; the first is 0."""
    centres: tuple[float, ...]
    """The reference's mean in each fine bin, ascending; where the reference has no row, the end next to it."""
    median: float
    """The reference's: sums are taken about it."""
    scale: float
    """The reference's standard deviation; 1 where the column is constant."""

    @property
    def cells(self) -> int:
        """Number of fine bins."""
        return len(self.edges) + 1


class Categories(Struct, frozen=True, kw_only=True, tag="categories"):
    """The categories of a column, most frequent first, then two more cells: *other* and *unseen*."""

    values: tuple[Category, ...]
    """Those with a cell of their own."""
    tail: tuple[Category, ...] = ()
    """Rarer ones of the reference, counted together as *other*."""
    complete: bool = True
    """True if these are all; otherwise an unknown value is counted as *other*, since it may not be new."""
    novelty: float = 0.0
    """The share of the reference's rows whose category occurs only once. As large a share of any other sample is to be
    expected in *unseen* (Good 1953, "The population frequencies of species")."""

    @property
    def cells(self) -> int:
        """Number of cells, *other* and *unseen* included."""
        return len(self.values) + 2

    @property
    def other(self) -> int:
        """The cell of the reference's rare categories."""
        return len(self.values)

    @property
    def unseen(self) -> int:
        """The cell of values that are not in the reference."""
        return len(self.values) + 1


def bins_of(values: Floats, *, fine: int = 100, coarse: int = 10) -> Bins:
    """Make bins at the quantiles of a reference.

    A value that fills a whole fine bin or more, such as the zeros of a zero-inflated column, gets a bin of its own;
    one that fills half a coarse bin or more, a coarse one. What is below or above everything in the reference shares a
    coarse bin with the least or greatest values, except beside such a spike.

    Args:
        values: The reference, shape ``(rows,)``, float64; infinite and NaN are left out.
        fine: Largest number of fine bins, the spikes apart; so is ``coarse``.

    Raises :class:`DataError` if there is no finite value.

    >>> bins = bins_of(np.arange(1.0, 101.0), fine=4, coarse=2)
    >>> bins.edges, bins.coarse
    ((25.0, 50.0, 75.0), (0, 2))
    >>> bins_of(np.array([0.0] * 70 + [1.0, 2.0, 3.0] * 10), fine=10, coarse=2).edges
    (-5e-324, 0.0, 1.0, 2.0)
    """
    ordered = np.sort(values[np.isfinite(values)])
    rows = len(ordered)
    if rows == 0:
        raise DataError("a reference column must hold a finite number", remedy="Leave the column out.")
    ranks = -(-rows * np.arange(1, fine) // fine) - 1
    at_ranks = ordered[ranks]
    spikes = np.unique(at_ranks[1:][at_ranks[1:] == at_ranks[:-1]])
    with np.errstate(over="ignore", invalid="ignore"):  # there is nothing below the least number
        below, spread = np.nextafter(spikes, -np.inf), float(ordered.std())
    edges = np.unique(np.concatenate([at_ranks, below[np.isfinite(below)]]))
    ends = np.concatenate([[0], np.searchsorted(ordered, edges, side="right"), [rows]])
    return Bins(
        edges=tuple(edges.tolist()),
        coarse=_coarse_starts(ends, ~np.isin(edges, spikes), coarse),
        centres=tuple(_centres(ordered, edges, ends).tolist()),
        median=float(ordered[(rows - 1) // 2]),
        scale=spread if np.isfinite(spread) and spread > 0 else 1.0,
    )


def _coarse_starts(ends: NDArray[np.int64], smooth: NDArray[np.bool_], coarse: int) -> tuple[int, ...]:
    """Fine bins whose middle lies in the same of ``coarse`` equal parts of the rows belong together; a spike parts."""
    shares = np.diff(ends) / ends[-1]
    part = np.minimum(((ends[:-1] + ends[1:]) * coarse / (2 * ends[-1])).astype(np.intp), coarse - 1)
    alone = np.append(~smooth, False) & (shares >= 0.5 / coarse)
    parted = (part[1:] != part[:-1]) | alone[1:] | alone[:-1]
    return (0, *(np.flatnonzero(parted) + 1).tolist())


def _centres(ordered: Floats, edges: Floats, ends: NDArray[np.int64]) -> Floats:
    lows, highs = np.append(ordered[0], edges), np.append(edges, ordered[-1])
    centres: Floats = np.minimum(highs, ordered[-1])
    held = np.diff(ends) > 0
    # Each row is divided before it is added, so that the sum of even the greatest is finite. A mean of equal values may
    # miss them by a rounding error, and so leave its bin.
    parts = ordered / np.repeat(np.diff(ends), np.diff(ends))
    centres[held] = np.clip(np.add.reduceat(parts, ends[:-1][held]), lows[held], highs[held])
    return centres


def categories_of(
    values: Iterable[Category | None] | Mapping[Category, int], *, most: int = 200, known: int = 10_000
) -> Categories:
    """Select the categories of a reference, their number bounded.

    Those of fewer than twenty rows (or a hundredth of all, or two) have no cell of their own: which of many rare ones
    happen to be frequent in the reference is chance, and in any other sample they are less so.

    Args:
        values: The reference's rows, or the count of each value; ``None`` is missing and left out.
        most: Largest number with a cell of their own.
        known: Largest number of others kept by name, so that an unseen one is distinguished from a rare one.

    >>> categories_of(["b", "a", "b", None, "a", "b", "c"], most=1)
    Categories(values=('b',), tail=('a', 'c'), complete=True, novelty=0.16666666666666666)
    """
    counts = Counter(values)
    counts.pop(None, None)
    ranked = sorted((value for value in counts if value is not None), key=lambda value: (-counts[value], str(value)))
    rows = sum(counts.values())
    least = max(2, min(20, rows // 100))
    most = min(most, sum(count >= least for count in counts.values()))
    return Categories(
        values=tuple(ranked[:most]),
        tail=tuple(ranked[most : most + known]),
        complete=len(ranked) <= most + known,
        novelty=sum(count == 1 for count in counts.values()) / max(rows, 1),
    )
