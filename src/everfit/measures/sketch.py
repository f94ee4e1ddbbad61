"""Mergeable sketch of a window's rows: counts by cell and exact sums, some kilobytes for any number of rows.

Merging is associative and commutative to the last bit: any window of time is a sum of buckets, counted on one worker or
many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
_FARTHEST = 1e150
"""Sums take what is farther from zero for this far, or they might be infinite."""


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
    """Counts and sums of a table's rows, of which :meth:`add` takes more.

    >>> from everfit.measures.bins import bins_of
    >>> layout = SketchLayout({"age": bins_of(np.arange(100.0), fine=4), "sex": Categories(values=("f", "m"))})
    >>> january, february = Sketch(layout), Sketch(layout)
    >>> january.add({"age": np.array([10.0, np.nan]), "sex": ["f", "x"]})
    >>> february.add({"age": np.array([80.0]), "sex": ["m"]})
    >>> both = january.merge(february)
    >>> both.rows, both.column("age").counts.tolist(), both.column("age").missing, both.column("age").mean
    (3, [1, 0, 0, 1], 1, 45.0)
    """

    def __init__(self, layout: SketchLayout) -> None:
        self.layout = layout
        self.rows = 0
        numeric = len(layout.numeric)
        self._counts: Counts = np.zeros(layout.size, dtype=np.int64)
        self._finite: Counts = np.zeros(numeric, dtype=np.int64)
        # Of the distance from the reference's median, in units of the smallest float.
        self._sums = [0] * numeric
        self._low = np.full(numeric, np.inf)
        self._high = np.full(numeric, -np.inf)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment] # it changes

    def add(self, columns: Mapping[str, Column]) -> None:
        """Count more rows; columns that are not in the layout are left aside.

        Raises :class:`DataError` if a column is not there, or not as long as the others.
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
            # All numeric columns at once: what a call costs exceeds what it does for some hundred rows.
            few = np.array(numbers, dtype=np.float64)
            self._counts += np.bincount(self.layout.table.places(few).ravel(), minlength=self.layout.size)
            self._add_sums(slice(None), few)
        elif numbers:
            # NumPy lets go of the interpreter's lock, and no two columns share anything that is written.
            self.layout.tables  # noqa: B018 - made once, not by each thread
            with ThreadPoolExecutor(2 if rows > CHUNK else 1) as threads:
                list(threads.map(self._add_many, range(len(numbers)), numbers))
        for name in self.layout.places:
            self._add_categories(name, columns[name])

    def _add_many(self, index: int, numbers: Floats) -> None:
        values = np.ascontiguousarray(numbers, dtype=np.float64)
        self._counts[self.layout.spans[self.layout.numeric[index]]] += self.layout.tables[index].count(values)
        for start in range(0, len(values), CHUNK):
            self._add_sums(slice(index, index + 1), values[None, start : start + CHUNK])

    def _add_sums(self, which: slice, numbers: Floats) -> None:
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
        more = zip(self._sums[which], units(distance.sum(axis=1)), strict=True)
        self._sums[which] = [total + unit for total, unit in more]

    def _add_categories(self, name: str, values: Any) -> None:
        form, place = self.layout.columns[name], self.layout.places[name]
        assert isinstance(form, Categories)
        span = self._counts[self.layout.spans[name]]
        otherwise = form.unseen if form.complete else form.other
        if isinstance(values, Mapping):
            for value, count in values.items():
                span[place.get(value, otherwise)] += count
        else:
            find = place.get
            span += np.bincount([find(value, otherwise) for value in values], minlength=len(span))

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of the rows of both; neither changes. Raises :class:`DataError` if their layouts differ."""
        if self.layout != other.layout:
            raise DataError("only sketches of one layout can be merged", remedy="Count the rows again.")
        both = Sketch(self.layout)
        both.rows = self.rows + other.rows
        both._counts = self._counts + other._counts
        both._finite = self._finite + other._finite
        both._sums = [one + two for one, two in zip(self._sums, other._sums, strict=True)]
        both._low = np.minimum(self._low, other._low)
        both._high = np.maximum(self._high, other._high)
        return both

    def column(self, name: str) -> ColumnSketch:
        """Return one column. Raises ``KeyError`` if the layout has no such column."""
        form, counts = self.layout.columns[name], self._counts[self.layout.spans[name]]
        column = ColumnSketch(form=form, counts=counts[:-1], missing=int(counts[-1]))
        if isinstance(form, Categories):
            return column
        index = self.layout.numeric.index(name)
        finite, low, high = int(self._finite[index]), float(self._low[index]), float(self._high[index])
        if finite == 0:
            return column
        mean = form.median + as_float(self._sums[index]) / finite
        return replace(column, finite=finite, mean=mean, low=low, high=high)

    def to_bytes(self) -> bytes:
        """Encode the contents and the layout's digest, not the layout; equal sketches give equal bytes."""
        arrays = (array.tolist() for array in (self._counts, self._finite, self._low, self._high))
        return msgspec.msgpack.encode((self.layout.digest, self.rows, *arrays, [pack(total) for total in self._sums]))

    @classmethod
    def from_bytes(cls, data: bytes, layout: SketchLayout) -> Sketch:
        """Decode the result of :meth:`to_bytes`.

        Raises :class:`DataError` if it was counted in another layout, ``msgspec.DecodeError`` if it is no sketch.
        """
        digest, rows, counts, finite, low, high, sums = msgspec.msgpack.decode(data, type=_Wire)
        if digest != layout.digest:
            raise DataError("a sketch must be read with the layout that it was counted in")
        sketch = cls(layout)
        sketch.rows = rows
        sketch._counts, sketch._finite = np.array(counts, dtype=np.int64), np.array(finite, dtype=np.int64)
        sketch._sums = [unpack(total) for total in sums]
        sketch._low, sketch._high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
        return sketch


_Wire = tuple[bytes, int, list[int], list[int], list[float], list[float], list[tuple[int, bytes]]]


def _length(column: Column) -> int:
    return sum(column.values()) if isinstance(column, Mapping) else len(column)
