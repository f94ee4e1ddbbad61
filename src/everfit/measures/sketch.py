"""Mergeable sketch of a window's rows: counts by cell and exact moments, some kilobytes for any number of rows.

Merging is associative and commutative to the last bit: any window of time is a sum of buckets, counted on one worker or
many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.bin_table import CHUNK
from everfit.measures.bins import Bins, Categories, Category
from everfit.measures.exact_sum import as_float, pack, units, unpack
from everfit.measures.layout import Form, SketchLayout
from everfit.measures.weighting import Floats

Counts = NDArray[np.int64]
Column = Floats | Sequence[Category | None] | Mapping[Category | None, int]
"""Numbers, float64 of shape ``(rows,)``; or categories; or how often each category occurs. NaN and ``None`` are
missing."""

_FEW = 4_096
_THREADS = 2
_FARTHEST = 1e150
"""Moments take what is farther from zero for this far, since its square would be infinite."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnSketch:
    """One column of a sketch."""

    form: Form
    counts: Counts
    """Rows in each cell, what is missing left out; shape ``(cells,)``."""
    missing: int
    finite: int = 0
    """Numbers that are neither missing nor infinite; the rest of a numeric column's fields are theirs."""
    mean: float = math.nan
    deviation: float = math.nan
    """The standard deviation, with divisor ``finite``."""
    low: float = math.nan
    high: float = math.nan

    @property
    def rows(self) -> int:
        """Number of rows, the missing ones included."""
        return self.present + self.missing

    @property
    def present(self) -> int:
        """Number of rows with a value."""
        return int(self.counts.sum())

    def coarse(self) -> Counts:
        """Rows in each coarse bin, or category: what a test compares. Shape ``(coarse cells,)``."""
        if isinstance(self.form, Bins):
            return np.add.reduceat(self.counts, self.form.coarse)
        return self.counts


class Sketch:
    """Counts and moments of a table's rows, of which :meth:`add` takes more.

    >>> from everfit.measures.bins import bins_of
    >>> layout = SketchLayout({"age": bins_of(np.arange(100.0), fine=4), "sex": Categories(values=("f", "m"))})
    >>> january, february = Sketch(layout), Sketch(layout)
    >>> january.add({"age": np.array([10.0, np.nan]), "sex": ["f", "x"]})
    >>> february.add({"age": np.array([80.0]), "sex": ["m"]})
    >>> both = january.merge(february)
    >>> both.rows, both.column("age").counts.tolist(), both.column("age").missing, both.column("age").mean
    (3, [1, 0, 0, 1], 1, 45.0)
    >>> both.column("sex").counts.tolist()
    [1, 1, 0, 1]
    """

    def __init__(self, layout: SketchLayout) -> None:
        self.layout = layout
        self.rows = 0
        numeric = len(layout.numeric)
        self._counts: Counts = np.zeros(layout.size, dtype=np.int64)
        self._finite: Counts = np.zeros(numeric, dtype=np.int64)
        # Of the distance from the reference's median, and of its square, in units of the smallest float.
        self._sums = [0] * numeric
        self._squares = [0] * numeric
        self._low = np.full(numeric, np.inf)
        self._high = np.full(numeric, -np.inf)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment] # it changes

    def add(self, columns: Mapping[str, Column]) -> None:
        """Count more rows.

        Args:
            columns: Each column of the layout, all of equal length. Others are left aside.

        Raises:
            DataError: If a column is not there, or not as long as the first.
        """
        missing = [name for name in self.layout.columns if name not in columns]
        if missing:
            raise DataError("rows to be counted must have every column of the layout", value=missing)
        lengths = {name: _length(columns[name]) for name in self.layout.columns}
        if len(set(lengths.values())) > 1:
            raise DataError("columns must be equally long", value=lengths)
        rows = next(iter(lengths.values()), 0)
        if rows == 0:
            return
        self.rows += rows
        numbers: list[Any] = [columns[name] for name in self.layout.numeric]
        if rows <= _FEW and numbers:
            self._add_few(np.array(numbers, dtype=np.float64))
        elif numbers:
            # NumPy lets go of the interpreter's lock, and no two columns share anything that is written.
            self.layout.tables  # noqa: B018 - made once, not by each thread
            with ThreadPoolExecutor(_THREADS if rows > CHUNK else 1) as threads:
                list(threads.map(self._add_many, range(len(numbers)), numbers))
        for name in self.layout.places:
            self._add_categories(name, columns[name])

    def _add_few(self, numbers: Floats) -> None:
        """All numeric columns at once: what a call costs exceeds what it does for some hundred rows."""
        self._counts += np.bincount(self.layout.table.places(numbers).ravel(), minlength=self.layout.size)
        self._add_moments(slice(None), numbers)

    def _add_many(self, index: int, numbers: Floats) -> None:
        values = np.ascontiguousarray(numbers, dtype=np.float64)
        self._counts[self.layout.spans[self.layout.numeric[index]]] += self.layout.tables[index].count(values)
        for start in range(0, len(values), CHUNK):
            self._add_moments(slice(index, index + 1), values[None, start : start + CHUNK])

    def _add_moments(self, which: slice, numbers: Floats) -> None:
        low, high = numbers.min(axis=1), numbers.max(axis=1)
        distance = numbers - self.layout.medians[which]
        finite = np.full(len(numbers), numbers.shape[1])
        if not (max(-low.min(), high.max()) <= _FARTHEST):  # NaN, too
            there = np.isfinite(numbers)
            low, high = np.where(there, numbers, np.inf).min(axis=1), np.where(there, numbers, -np.inf).max(axis=1)
            distance = np.where(there, distance, 0.0)
            if not max(-low.min(), high.max()) <= _FARTHEST:
                np.clip(distance, -_FARTHEST, _FARTHEST, out=distance)
            finite = there.sum(axis=1)
        self._finite[which] += finite
        np.minimum(self._low[which], low, out=self._low[which])
        np.maximum(self._high[which], high, out=self._high[which])
        for totals, more in (
            (self._sums, distance.sum(axis=1)),
            (self._squares, np.einsum("ij,ij->i", distance, distance)),
        ):
            totals[which] = [total + unit for total, unit in zip(totals[which], units(more), strict=True)]

    def _add_categories(self, name: str, values: Any) -> None:
        form, place = self.layout.columns[name], self.layout.places[name]
        assert isinstance(form, Categories)
        span = self._counts[self.layout.spans[name]]
        otherwise = form.unseen if form.complete else form.other
        if isinstance(values, Mapping):
            for value, count in values.items():
                span[place.get(value, otherwise)] += count
            return
        find = place.get
        span += np.bincount([find(value, otherwise) for value in values], minlength=len(span))

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of the rows of both; neither changes.

        Raises:
            DataError: If their layouts differ.
        """
        if self.layout != other.layout:
            raise DataError("only sketches of one layout can be merged", remedy="Count the rows again.")
        both = Sketch(self.layout)
        both.rows = self.rows + other.rows
        both._counts = self._counts + other._counts
        both._finite = self._finite + other._finite
        both._sums = [one + two for one, two in zip(self._sums, other._sums, strict=True)]
        both._squares = [one + two for one, two in zip(self._squares, other._squares, strict=True)]
        both._low = np.minimum(self._low, other._low)
        both._high = np.maximum(self._high, other._high)
        return both

    def column(self, name: str) -> ColumnSketch:
        """Return one column.

        Raises:
            KeyError: If the layout has no such column.
        """
        form = self.layout.columns[name]
        counts = self._counts[self.layout.spans[name]]
        if isinstance(form, Categories):
            return ColumnSketch(form=form, counts=counts[:-1], missing=int(counts[-1]))
        index = self.layout.numeric.index(name)
        finite = int(self._finite[index])
        if finite == 0:
            return ColumnSketch(form=form, counts=counts[:-1], missing=int(counts[-1]))
        total, squares = self._sums[index], self._squares[index]
        mean = as_float(total) / finite
        return ColumnSketch(
            form=form,
            counts=counts[:-1],
            missing=int(counts[-1]),
            finite=finite,
            mean=form.median + mean,
            deviation=math.sqrt(max(0.0, as_float(squares) / finite - mean * mean)),
            low=float(self._low[index]),
            high=float(self._high[index]),
        )

    def to_bytes(self) -> bytes:
        """Encode the contents and the layout's digest, not the layout; equal sketches give equal bytes."""
        sums, squares = ([pack(total) for total in totals] for totals in (self._sums, self._squares))
        lists = (self._counts.tolist(), self._finite.tolist())
        ends = (self._low.tolist(), self._high.tolist())
        return msgspec.msgpack.encode((self.layout.digest, self.rows, *lists, sums, squares, *ends))

    @classmethod
    def from_bytes(cls, data: bytes, layout: SketchLayout) -> Sketch:
        """Decode the result of :meth:`to_bytes`.

        Raises:
            DataError: If it was counted in another layout.
            msgspec.DecodeError: If it is no sketch.
        """
        digest, rows, counts, finite, sums, squares, low, high = msgspec.msgpack.decode(data, type=_Wire)
        if digest != layout.digest:
            raise DataError("a sketch must be read with the layout that it was counted in")
        sketch = cls(layout)
        sketch.rows = rows
        sketch._counts, sketch._finite = np.array(counts, dtype=np.int64), np.array(finite, dtype=np.int64)
        sketch._sums, sketch._squares = [unpack(total) for total in sums], [unpack(total) for total in squares]
        sketch._low, sketch._high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
        return sketch


_Packed = list[tuple[int, bytes]]
_Wire = tuple[bytes, int, list[int], list[int], _Packed, _Packed, list[float], list[float]]


def _length(column: Column) -> int:
    return sum(column.values()) if isinstance(column, Mapping) else len(column)
