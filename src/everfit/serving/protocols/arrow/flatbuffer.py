"""Reader of the part of Flatbuffers that Arrow's metadata use; every place is checked before it is read."""

from __future__ import annotations

from struct import calcsize, error, unpack_from
from typing import Any, NamedTuple


class Flat(NamedTuple):
    """A table. Reading outside of the buffer, or more than is accepted, raises ``struct.error``."""

    buffer: bytes
    place: int

    @classmethod
    def root(cls, buffer: bytes) -> Flat:
        """Return the root table."""
        return cls(buffer, _take(buffer, "I", 0))

    def number(self, slot: int, code: str, default: int = 0) -> int:
        """Return a number, by its code of :mod:`struct`."""
        place = self._place(slot)
        return int(_take(self.buffer, code, place)) if place else default

    def table(self, slot: int) -> Flat | None:
        """Return a table; ``None`` if the field is absent."""
        place = self._place(slot)
        return Flat(self.buffer, _follow(self.buffer, place)) if place else None

    def text(self, slot: int, longest: int) -> str:
        """Return text of at most ``longest`` bytes; empty if the field is absent."""
        start, size = self._vector(slot, 1)
        if size > longest:
            raise error(f"text of {size} bytes")
        return self.buffer[start : start + size].decode()

    def tables(self, slot: int, most: int) -> list[Flat]:
        """Return a vector of at most ``most`` tables."""
        start, count = self._vector(slot, 4)
        if count > most:
            raise error(f"{count} tables")
        return [Flat(self.buffer, _follow(self.buffer, start + 4 * number)) for number in range(count)]

    def structs(self, slot: int, codes: str) -> list[tuple[Any, ...]]:
        """Return a vector of structs."""
        size = calcsize(f"<{codes}")
        start, count = self._vector(slot, size)
        return [unpack_from(f"<{codes}", self.buffer, start + size * number) for number in range(count)]

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        """Return the place of a vector's first item and the number of items, of ``size`` bytes each."""
        place = self._place(slot)
        if not place:
            return 0, 0
        start = _follow(self.buffer, place)
        count = _take(self.buffer, "I", start)
        if count * size > len(self.buffer) - start - 4:
            raise error(f"{count} items")
        return start + 4, count

    def _place(self, slot: int) -> int:
        """Return the place of a field; 0 if it is absent."""
        vtable = self.place - _take(self.buffer, "i", self.place)
        if 4 + 2 * slot + 2 > _take(self.buffer, "H", vtable):
            return 0
        offset = _take(self.buffer, "H", vtable + 4 + 2 * slot)
        return self.place + offset if offset else 0


def _follow(buffer: bytes, place: int) -> int:
    return place + _take(buffer, "I", place)


def _take(buffer: bytes, code: str, place: int) -> int:
    if place < 0:  # unpack_from would count it from the end
        raise error("a place before the buffer")
    found: int = unpack_from(f"<{code}", buffer, place)[0]
    return found
