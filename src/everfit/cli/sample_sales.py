"""Simulated sales of four bakeries: the data of a new project. They end yesterday, so that nothing in them is stale."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta

DAYS = 540
_LOAVES = {"north": 60.0, "market": 110.0, "station": 105.0, "mill": 47.0}
"""Mean sales of a shop on a day."""
_WEEK = (0.96, 0.93, 0.97, 1.01, 1.17, 1.29, 0.67)
"""Monday to Sunday, in shares of the mean."""
_SEASON = 0.16
"""Amplitude of the yearly wave, which peaks at the turn of the year."""
_PROMOTED = 0.1
"""Share of days with a promotion."""
_PRICE, _RISE, _RISE_DAYS = 3.0, 0.2, 180


def sales_csv(today: date) -> str:
    """Return the table as CSV; the same date gives the same rows.

    Args:
        today: The first day after the rows.
    """
    return "sale_id,shop,opens_at,closes_at,price,promotion,sold\n" + "".join(f"{row}\n" for row in _rows(today))


def _rows(today: date) -> Iterator[str]:
    rng = random.Random(20250106)  # noqa: S311 - simulated sales, no secret
    first = today - timedelta(days=DAYS)
    for number in range(DAYS):
        day = first + timedelta(days=number)
        price = _PRICE + _RISE * (number // _RISE_DAYS)
        promoted = rng.random() < _PROMOTED
        season = 1 + _SEASON * math.cos(2 * math.pi * day.timetuple().tm_yday / 365)
        for place, (shop, loaves) in enumerate(_LOAVES.items()):
            mean = loaves * _WEEK[day.weekday()] * season * (_PRICE / price) ** 0.5 * (1.4 if promoted else 1.0)
            sold = max(0, round(rng.gauss(mean, 0.12 * mean)))
            sale = number * len(_LOAVES) + place + 1
            hours = f"{day}T06:00:00Z,{day}T18:00:00Z"
            yield f"{sale},{shop},{hours},{price:.1f},{str(promoted).lower()},{sold}"
