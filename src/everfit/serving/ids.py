"""Ids of predictions: unique anywhere, and in the order of time."""

from __future__ import annotations

from random import Random

_MILLISECONDS = (1 << 48) - 1
_CHANCE_HIGH = (1 << 12) - 1
_CHANCE_LOW = (1 << 62) - 1


class IdMaker:
    """Makes UUIDs of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 of chance.

    They are no secrets, so the chance comes from a generator that only its seed ties to the system's: asking the
    system for every id would take longer than the prediction. Do not carry one across ``fork``.

    >>> IdMaker().make(1_700_000_000_000_000)[:15]
    '018bcfe5-6800-7'
    """

    def __init__(self) -> None:
        self._draw = Random().getrandbits  # noqa: S311 - as said above

    def make(self, now_us: int) -> str:
        """A new id.

        Args:
            now_us: The present instant, in microseconds since 1970.
        """
        chance = self._draw(74)
        high = (now_us // 1000 & _MILLISECONDS) << 16 | 0x7000 | (chance >> 62 & _CHANCE_HIGH)
        number = high << 64 | 1 << 63 | (chance & _CHANCE_LOW)
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
