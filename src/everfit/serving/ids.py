"""Ids of predictions: globally unique and in the order of time."""

from __future__ import annotations

from itertools import count, islice
from random import Random

_BITS_48 = (1 << 48) - 1


class IdMaker:
    """Generator of UUIDs of version 7 (RFC 9562): 48 bits of milliseconds, 26 of randomness, and a counter of 48.

    The random bits and the counter's start are drawn anew every millisecond (section 6.2, method 1), so that two
    generators collide no more often than two draws of 74 bits. Ids are no secrets, so a generator
    seeded by the system is enough. It must not be shared across ``fork``.

    >>> IdMaker().make(1_700_000_000_000_000)[:15]
    '018bcfe5-6800-7'
    """

    def __init__(self) -> None:
        self._draw = Random().getrandbits  # noqa: S311 - ids are no secrets
        self._state = self._begin(0)

    def make(self, now_us: int) -> str:
        """Return a new id, at ``now_us`` microseconds since 1970; thread-safe."""
        millisecond, text, counted = self._state
        if now_us // 1000 != millisecond:
            _, text, counted = self._state = self._begin(now_us // 1000)
        return f"{text}{next(counted) & _BITS_48:012x}"

    def make_many(self, number: int, now_us: int) -> list[str]:
        """Return ``number`` new ids of one instant, in microseconds since 1970; thread-safe."""
        _, text, counted = self._begin(now_us // 1000)
        return [f"{text}{suffix & _BITS_48:012x}" for suffix in islice(counted, number)]

    def _begin(self, millisecond: int) -> tuple[int, str, count[int]]:
        """Return the millisecond, its text, and a counter whose ``next`` is one step: no two threads get the same."""
        stamp = f"{millisecond & _BITS_48:012x}"
        text = f"{stamp[:8]}-{stamp[8:]}-7{self._draw(12):03x}-{0x8000 | self._draw(14):04x}-"
        return millisecond, text, count(self._draw(48))
