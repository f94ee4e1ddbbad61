"""Reader of the arrays of one Arrow record batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice, pairwise
from operator import le
from struct import Struct, unpack_from
from typing import Any

from everfit.serving.protocols.arrow.flatbuffer import Flat
from everfit.serving.protocols.arrow.type import ArrowType

_VIEW = Struct("<i4xii")
"""Size; then the text itself, or four of its bytes, the buffer's number and the offset."""
_BITS = tuple(tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256))
"""A byte's bits, the lowest first."""
_SHORT = 12
"""Bytes of the longest text that is stored in its view."""


class ArrayReader:
    """Reads the arrays of a batch one after the other.

    Args:
        data: The batch's buffers.
        arrays: The number that it must have.
        spend: Called with the number of texts and of their bytes, so that the reader of all batches can bound them.
    """

    def __init__(self, batch: Flat, data: memoryview, *, arrays: int, spend: Callable[[int], None]) -> None:
        if batch.table(3) is not None:
            raise ValueError("it must not be compressed")
        self._data = data
        # Each is taken from the end.
        self._nodes = batch.structs(1, "qq")[::-1]
        self._buffers = batch.structs(2, "qq")[::-1]
        self._more = batch.structs(4, "q")[::-1]
        self._spend = spend
        if len(self._nodes) != arrays:
            raise ValueError(f"a batch must have {arrays} columns, but got {len(self._nodes)}")

    def read(self, kind: ArrowType, rows: int) -> list[Any]:
        """Return the next array as Python values; null is ``None``. Raises ``ValueError`` or ``struct.error`` if it is
        malformed.
        """
        if rows < 0 or not self._nodes or self._nodes.pop()[0] != rows:
            raise ValueError(f"a column must have {rows} rows")
        if kind.layout == "nothing":
            return [None] * rows
        bits = self._buffer()
        is_there = _unpack_bits(bits, rows) if bits else None
        if kind.layout == "text":
            return self._read_texts(kind.code, rows, is_there)
        if kind.layout == "views":
            return self._read_views(rows, is_there)
        buffer = self._buffer()
        is_bits = kind.layout == "bits"
        values: list[Any] = _unpack_bits(buffer, rows) if is_bits else [*unpack_from(f"<{rows}{kind.code}", buffer)]
        if is_there is not None:
            values = _where(values, is_there)
        if kind.change is None:
            return values
        changed = {value: kind.change(value) for value in set(values) if value is not None}
        return list(map(changed.get, values))

    def _read_texts(self, code: str, rows: int, is_there: list[bool] | None) -> list[str | None]:
        self._spend(rows)
        offsets, data = self._buffer(), self._buffer()
        if not rows:
            return []
        ends = unpack_from(f"<{rows + 1}{code}", offsets)
        if ends[0] < 0 or ends[-1] > len(data) or not all(map(le, ends, ends[1:])):
            raise ValueError("texts must lie within their buffer, one after the other")
        self._spend(ends[-1] - ends[0])
        raw = bytes(data)
        if raw.isascii():  # decoding once is faster
            whole = raw.decode("ascii")
            texts: list[str | None] = [whole[start:end] for start, end in pairwise(ends)]
            return texts if is_there is None else _where(texts, is_there)
        return [
            raw[start:end].decode() if is_there is None or is_there[row] else None
            for row, (start, end) in enumerate(pairwise(ends))
        ]

    def _read_views(self, rows: int, is_there: list[bool] | None) -> list[str | None]:
        self._spend(rows)
        views = self._buffer()
        count = self._more.pop()[0] if self._more else -1
        if not 0 <= count <= len(self._buffers):
            raise ValueError("a batch must say how many buffers its texts have")
        buffers = [self._buffer() for _ in range(count)]
        raw = bytes(views[: 16 * rows])
        if len(raw) != 16 * rows:
            raise ValueError(f"a column must have {rows} texts")
        known: dict[tuple[int, int, int], str] = {}
        texts: list[str | None] = []
        for row, (size, number, place) in enumerate(_VIEW.iter_unpack(raw)):
            if is_there is not None and not is_there[row]:
                texts.append(None)
            elif 0 <= size <= _SHORT:
                texts.append(raw[16 * row + 4 : 16 * row + 4 + size].decode())
            elif not 0 <= number < count:
                raise ValueError(f"buffer {number} must be there")
            else:
                key = number, place, size
                if key not in known:
                    known[key] = self._text(buffers[number], place, size)
                texts.append(known[key])
        return texts

    def _text(self, data: memoryview, place: int, size: int) -> str:
        self._spend(size)
        if size < 0 or place < 0 or place + size > len(data):
            raise ValueError("texts must lie within their buffer")
        return str(data[place : place + size], "utf-8")

    def _buffer(self) -> memoryview:
        if not self._buffers:
            raise ValueError("a batch must have all of its buffers")
        place, size = self._buffers.pop()
        if place < 0 or size < 0 or place + size > len(self._data):
            raise ValueError("a buffer must lie within its batch")
        return self._data[place : place + size]


def _where(values: Iterable[Any], is_there: Iterable[bool]) -> list[Any]:
    return [value if there else None for value, there in zip(values, is_there, strict=True)]


def _unpack_bits(bits: memoryview, rows: int) -> list[bool]:
    if len(bits) * 8 < rows:
        raise ValueError(f"a column must have a bit for each of {rows} rows")
    return list(islice(chain.from_iterable(map(_BITS.__getitem__, bits)), rows))
