"""Simulated data of the templates of ``everfit init``: CSV that ends the day before a date, so that nothing is stale.

The numbers are invented; the same date gives the same data.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

DAYS = 540
_SEED = 20250106

_LOAVES = {"north": 60.0, "market": 110.0, "station": 105.0, "mill": 47.0}
"""Mean sales of a shop on a day."""
_WEEK = (0.96, 0.93, 0.97, 1.01, 1.17, 1.29, 0.67)
"""Monday to Sunday, in shares of the mean."""
_SEASON = 0.16
"""Amplitude of the yearly wave, which peaks at the turn of the year."""
_PROMOTED = 0.1
"""Share of days with a promotion."""
_PRICE, _RISE, _RISE_DAYS = 3.0, 0.2, 180

_SECTORS = {"retail": -1.9, "building": -0.6, "public": -1.3}
"""Log odds of paying late."""
_GRACE = timedelta(days=7)
"""An invoice that is not paid this long after it is due is late."""

_PRODUCTS = {"lamp": (2, 1, 3, 2), "kettle": (1, 2, 2, 4), "speaker": (2, 1, 1, 6)}
"""Weights of the teams, in the order of :data:`_SUBJECTS`."""
_SUBJECTS = {
    "billing": ("Charged twice", "Invoice is missing", "Where is my refund", "Question about my order"),
    "returns": ("Wrong colour", "I changed my mind", "Refund after return", "Question about my order"),
    "shipping": ("Parcel is lost", "Change of address", "Courier did not come", "Question about my order"),
    "technical": ("Error when switched on", "Broken after a week", "App crashes", "Question about my order"),
}

_KINDS = {"city": 1.0, "race": 1.2, "cargo": 1.6, "electric": 1.9}
_FAULTS = {"tyre": 25.0, "brake": 35.0, "gears": 55.0, "wheel": 80.0}
"""Minutes that the repair of a city bicycle takes."""
_WORKSHOPS = {"east": 0.9, "west": 1.15, "harbour": 1.0}


def _sales(today: date, rng: random.Random) -> Iterator[str]:
    first = today - timedelta(days=DAYS)
    yield "sale_id,shop,opens_at,closes_at,price,promotion,sold"
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


def _invoices(today: date, rng: random.Random) -> Iterator[str]:
    """About ten invoices a day; the newest ones are not settled yet."""
    end = datetime.combine(today, time(), UTC)
    sectors = list(_SECTORS)
    customers = {f"c{number:02}": (rng.choice(sectors), rng.gauss(0, 1.2)) for number in range(80)}
    yield "invoice_id,customer,sector,amount,issued_at,due_at,paid_late,settled_at"
    for number, issued in enumerate(_instants(today, rng, each_day=10)):
        customer, (sector, habit) = rng.choice(list(customers.items()))
        amount, days = round(rng.lognormvariate(7, 1)), rng.choice((14, 30))
        due = issued + timedelta(days=days)
        odds = _SECTORS[sector] + habit + 0.5 * (math.log(amount) - 7) - 0.5 * (days == 30)
        late = rng.random() < 1 / (1 + math.exp(-odds))
        paid = issued + timedelta(days=days * rng.betavariate(3, 2), hours=1)
        settled = due + _GRACE if late else paid
        known = f"{str(late).lower()},{_text(settled)}" if settled < end else ","
        yield f"{number + 1},{customer},{sector},{amount},{_text(issued)},{_text(due)},{known}"


def _tickets(today: date, rng: random.Random) -> Iterator[str]:
    """About ten tickets a day; the newest ones are still open."""
    end, teams = datetime.combine(today, time(), UTC), list(_SUBJECTS)
    yield "ticket_id,product,channel,subject,opened_at,closed_at,team"
    for number, opened in enumerate(_instants(today, rng, each_day=10)):
        product = rng.choice(list(_PRODUCTS))
        (team,) = rng.choices(teams, _PRODUCTS[product])
        channel = rng.choices(("mail", "chat", "phone"), (3, 1, 2) if team == "billing" else (2, 3, 1))[0]
        closed = opened + timedelta(hours=rng.lognormvariate(2, 0.8))
        known = f"{_text(closed)},{team}" if closed < end else ","
        yield f"{number + 1},{product},{channel},{rng.choice(_SUBJECTS[team])},{_text(opened)},{known}"


def _repairs(today: date, rng: random.Random) -> Iterator[str]:
    """About ten repairs a day; the newest ones are under way."""
    end = datetime.combine(today, time(), UTC)
    yield "repair_id,workshop,kind,fault,age_years,brought_at,finished_at,minutes"
    for number, brought in enumerate(_instants(today, rng, each_day=10)):
        workshop, kind, fault = (rng.choice(list(table)) for table in (_WORKSHOPS, _KINDS, _FAULTS))
        age = round(rng.gammavariate(2, 2), 1)
        mean = _WORKSHOPS[workshop] * _KINDS[kind] * _FAULTS[fault] * (1 + 0.03 * age)
        minutes = max(5, round(rng.gauss(mean, 0.15 * mean)))
        finished = brought + timedelta(minutes=minutes, hours=rng.expovariate(1 / 4))
        known = f"{_text(finished)},{minutes}" if finished < end else ","
        yield f"{number + 1},{workshop},{kind},{fault},{age},{_text(brought)},{known}"


def _instants(today: date, rng: random.Random, *, each_day: int) -> Iterator[datetime]:
    """Yield instants of working hours, in order."""
    for number in range(DAYS, 0, -1):
        opens = datetime.combine(today - timedelta(days=number), time(8), UTC)
        yield from sorted(opens + timedelta(minutes=rng.randrange(10 * 60)) for _ in range(each_day))


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


_FILES: Mapping[str, tuple[str, Callable[[date, random.Random], Iterator[str]]]] = {
    "forecasting": ("sales.csv", _sales),
    "regression": ("repairs.csv", _repairs),
    "binary": ("invoices.csv", _invoices),
    "multiclass": ("tickets.csv", _tickets),
}
"""Name and rows of each template's file."""


def sample_data(template: str, today: date) -> tuple[str, str]:
    """Return name and content of a template's data, which end the day before ``today``, a date in UTC."""
    name, rows = _FILES[template]
    return name, "".join(f"{row}\n" for row in rows(today, random.Random(_SEED)))  # noqa: S311 - simulated, no secret
