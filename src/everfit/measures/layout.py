"""Layout of a sketch: the cells that the columns of a table are counted in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import msgspec
import numpy as np

from everfit.measures.bin_table import BinTable
from everfit.measures.bins import Bins, Categories, Category
from everfit.measures.weighting import Floats

Form = Bins | Categories


class SketchLayout:
    """The forms of a table's columns, one after another; a column's cells are followed by one for what is missing.

    Made once from the reference, kept beside it, and shared by every sketch that is to be merged or compared.

    >>> layout = SketchLayout({"colour": Categories(values=("red", "blue"))})
    >>> layout.size, layout.spans["colour"]
    (5, slice(0, 5, None))
    >>> SketchLayout.from_bytes(layout.to_bytes()) == layout
    True
    """

    def __init__(self, columns: Mapping[str, Form]) -> None:
        self.columns = MappingProxyType(dict(columns))
        self.numeric = tuple(name for name, form in columns.items() if isinstance(form, Bins))
        """The columns that hold numbers, in order."""
        spans: dict[str, slice] = {}
        self.size = 0
        for name, form in columns.items():
            spans[name] = slice(self.size, self.size + form.cells + 1)
            self.size = spans[name].stop
        self.spans = MappingProxyType(spans)
        """Slice of cells of each column."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SketchLayout) and (self is other or self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_bytes(self) -> bytes:
        """Encode the layout; equal layouts give equal bytes."""
        return msgspec.msgpack.encode(list(self.columns.items()))

    @classmethod
    def from_bytes(cls, data: bytes) -> SketchLayout:
        """Decode the result of :meth:`to_bytes`. Raises ``msgspec.DecodeError`` if it is something else."""
        return cls(dict(msgspec.msgpack.decode(data, type=list[tuple[str, Form]])))

    @cached_property
    def digest(self) -> bytes:
        """Sixteen bytes that identify the layout."""
        return hashlib.sha256(self.to_bytes()).digest()[:16]

    @cached_property
    def table(self) -> BinTable:
        """Bin table of all numeric columns together. Its grid is coarse, to stay in the cache."""
        return BinTable(self._edges, [self.spans[name].start for name in self.numeric], cells=1_024)

    @cached_property
    def tables(self) -> tuple[BinTable, ...]:
        """Bin table of each numeric column, for many rows; cells are numbered from 0."""
        return tuple(BinTable([edges]) for edges in self._edges)

    @property
    def _edges(self) -> list[Floats]:
        return [np.array(form.edges, dtype=np.float64) for form in self.columns.values() if isinstance(form, Bins)]

    @cached_property
    def medians(self) -> Floats:
        """The reference's, of each numeric column, shape ``(numeric, 1)``."""
        medians = [[form.median] for form in self.columns.values() if isinstance(form, Bins)]
        return np.array(medians, dtype=np.float64).reshape(-1, 1)

    @cached_property
    def places(self) -> Mapping[str, Mapping[Category | None, int]]:
        """The cell of each known value of each categorical column, within the column."""
        return {
            name: {
                **dict.fromkeys(form.tail, form.other),
                **{value: cell for cell, value in enumerate(form.values)},
                None: form.cells,
            }
            for name, form in self.columns.items()
            if isinstance(form, Categories)
        }
