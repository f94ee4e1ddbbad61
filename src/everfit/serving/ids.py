"""Ids of predictions: unique anywhere, and in the order of time."""

from __future__ import annotations

import os

_RANDOM_BYTES = 10


def make_id(now_us: int) -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then chance.

    Args:
        now_us: The present instant, in microseconds since 1970.

    >>> make_id(1_700_000_000_000_000)[:15]
    '018bcfe5-6800-7'
    """
    chance = int.from_bytes(os.urandom(_RANDOM_BYTES))
    number = (now_us // 1000 & 0xFFFF_FFFF_FFFF) << 80 | 7 << 76 | (chance >> 68) << 64
    number |= 2 << 62 | chance & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
