"""Reader of the arrays of one Arrow record batch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice, pairwise
from operator import le
from typing import Any

from everfit.serving.protocols.arrow.flatbuffer import Flat
from everfit.serving.protocols.arrow.type import ArrowType

_VIEW = struct.Struct("<i4xii")
"""Size; then the text itself, or four of its bytes, the buffer's number and the offset."""
_BITS = tuple(tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256))
"""A byte's bits, the lowest first."""
_SHORT = 12
"""Bytes of the longest text that is stored in its view."""


class ArrayReader:
    """Reads a batch's arrays one after the other.

    Args:
        budget: Most texts and their bytes together: overlapping texts must not become more than was sent.
    """

    def __init__(self, *, budget: int) -> None:
        self._budget = budget
        self._data = memoryview(b"")
        self._nodes: list[tuple[int, int]] = []
        self._buffers: list[tuple[int, int]] = []
        self._more: list[int] = []

    def begin(self, batch: Flat, data: memoryview, *, nodes: int) -> None:
        """Begin a batch of ``nodes`` arrays.

        Raises:
            ValueError: If it is compressed or has another number of arrays.
            struct.error: If it is malformed.
        """
        if batch.table(3) is not None:
            raise ValueError("it must not be compressed")
        self._data = data
        self._nodes = [(size, nulls) for size, nulls in reversed(batch.structs(1, "qq"))]
        self._buffers = [(place, size) for place, size in reversed(batch.structs(2, "qq"))]
        self._more = [count for (count,) in reversed(batch.structs(4, "q"))]
        if len(self._nodes) != nodes:
            raise ValueError(f"a batch must have {nodes} columns, but got {len(self._nodes)}")

    def read(self, kind: ArrowType, rows: int) -> list[Any]:
        """Return the next array as Python values; null is ``None``.

        Raises:
            ValueError: If it is malformed, or a value has no Python equivalent.
            struct.error: If a buffer is too short.
        """
        if rows < 0 or not self._nodes or self._nodes.pop()[0] != rows:
            raise ValueError(f"a column must have {rows} rows")
        if kind.layout == "nothing":
            return [None] * rows
        bits = self._buffer()
        is_there = _unpack_bits(bits, rows) if bits else None
        if kind.layout in {"text", "views"}:
            self._spend(rows)
        match kind.layout:
            case "bits":
                values: list[Any] = _unpack_bits(self._buffer(), rows)
            case "text":
                return self._read_texts(kind.code, rows, is_there)
            case "views":
                return self._read_views(rows, is_there)
            case _:
                values = list(struct.unpack_from(f"<{rows}{kind.code}", self._buffer()))
        if is_there is not None:
            values = _where(values, is_there)
        return values if kind.change is None else _change(kind.change, values)

    def _read_texts(self, code: str, rows: int, is_there: list[bool] | None) -> list[str | None]:
        offsets, data = self._buffer(), self._buffer()
        if not rows:
            return []
        ends = struct.unpack_from(f"<{rows + 1}{code}", offsets)
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
        views = self._buffer()
        count = self._more.pop() if self._more else -1
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

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise ValueError("texts must not overlap")

    def _buffer(self) -> memoryview:
        if not self._buffers:
            raise ValueError("a batch must have all of its buffers")
        place, size = self._buffers.pop()
        if place < 0 or size < 0 or place + size > len(self._data):
            raise ValueError("a buffer must lie within its batch")
        return self._data[place : place + size]


def _change(change: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    known = {value: change(value) for value in set(values) if value is not None}
    return list(map(known.get, values))


def _where(values: Iterable[Any], is_there: Iterable[bool]) -> list[Any]:
    return [value if there else None for value, there in zip(values, is_there, strict=True)]


def _unpack_bits(bits: memoryview, rows: int) -> list[bool]:
    if len(bits) * 8 < rows:
        raise ValueError(f"a column must have a bit for each of {rows} rows")
    return list(islice(chain.from_iterable(map(_BITS.__getitem__, bits)), rows))
