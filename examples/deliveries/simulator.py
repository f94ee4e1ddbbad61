"""A delivery company that does not exist: orders, couriers, shops and weather, and the truth about them.

Everything is drawn from the seed. A world does not depend on how long it is simulated: the first days of a long one
are those of a short one. And it is the same world with an incident and without: until the incident's start every row
is equal, and after it the same dice are thrown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl
from incidents import Incident, Kind
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
ORDERS_PER_DAY = 1_500

ZONES = ("centre", "harbour", "north", "old_town", "station", "west")
ZONE_SHARES = np.array([0.26, 0.10, 0.17, 0.18, 0.16, 0.13])
CHAINS = ("burger_lab", "curry_house", "noodle_bar", "pizza_nova", "salad_club")
VEHICLES = ("bike", "car", "scooter")
MINUTES_PER_KM = np.array([3.7, 3.2, 2.7])
SHOPS = 60
HANDLING_MINUTES = 5.0
GRACE_MINUTES = 5
"""An order counts as late from this long after the promised time."""

_ROSTER = 400
_FIRST_COURIERS = 90
_DAYS_BETWEEN_HIRES = 2.5
_GROWTH_PER_DAY = 1.015
_GROWTH_LIMIT = 3.0
_SPREAD = 0.20
_HOUR_SHARES = np.array([0.0] * 10 + [2, 5, 11, 9, 4, 3, 4, 8, 13, 14, 10, 6, 3, 0], dtype=np.float64)
_MINUTES_A_DAY = 1_440
_BIN_MINUTES = 30
_INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True, kw_only=True)
class World:
    """What the company's systems recorded, and what was so. All instants are UTC.

    ``orders``: order_id, ordered_at, zone, shop, chain, courier, distance_km, items, basket_eur, promised_minutes, and
    what only time tells: delivered_at, late, confirmed_at (the customer's app has reported the outcome).
    ``weather``: zone, observed_at, temperature_c, rain_mm, wind_ms; hourly.
    ``shops``: shop, reported_at, created, preparation_minutes, orders_in_hand; half-hourly, arriving minutes later.
    ``couriers``: courier, changed_at, created, vehicle, experience_days; weekly, entered hours later.
    ``truth``: order_id, ordered_at, the true chance of being late, and the rain and load that it came from.
    """

    orders: pl.DataFrame
    weather: pl.DataFrame
    shops: pl.DataFrame
    couriers: pl.DataFrame
    truth: pl.DataFrame
    incidents: tuple[Incident, ...]


@lru_cache(maxsize=4)
def simulate(seed: int = 0, start: datetime = START, days: int = DAYS, incidents: tuple[Incident, ...] = ()) -> World:
    """Simulate the company; a pure function, remembered for a process.

    Args:
        seed: Of every die that is thrown.
        start: Midnight of the first day, aware.
        days: How many days.
        incidents: What happens.

    Raises:
        ValueError: If ``start`` has no time zone or ``days`` is not positive.
    """
    if start.tzinfo is None:
        raise ValueError(f"start must have a time zone, but got {start}")
    if days < 1:
        raise ValueError(f"days must be at least 1, but got {days}")
    clock = _Clock(start=start, days=days, incidents=incidents)
    sky = _sky(seed, days)
    shop_list, roster = _shops(seed), _roster(seed)
    drawn = _draw_orders(seed, clock, shop_list, roster)
    counts = _orders_in_hand(drawn["minute"], drawn["shop"], days)
    drawn["load"] = _load(counts, drawn["minute"], drawn["shop"], shop_list["capacity"])
    hour = (drawn["minute"] // 60).astype(np.int64)
    drawn["rain_mm"], drawn["temperature_c"] = sky[hour, drawn["zone"], 1], sky[hour, drawn["zone"], 0]
    expected = expected_minutes(drawn, shop_list, roster, road_works=clock.active("concept_change", drawn["minute"]))
    took = np.round(expected * np.exp(_SPREAD * drawn["noise"]) * 60) / 60
    limit = drawn["promised_minutes"] + GRACE_MINUTES
    chance = ndtr(-np.log(limit / expected) / _SPREAD)
    orders = _order_frame(drawn, clock, took, late=took >= limit)
    truth = orders.select("order_id", "ordered_at").with_columns(
        probability=pl.Series(chance), rain_mm=pl.Series(drawn["rain_mm"]), load=pl.Series(drawn["load"])
    )
    return World(
        orders=orders,
        weather=_weather_frame(sky, clock),
        shops=_shop_frame(seed, counts, shop_list, clock),
        couriers=_courier_frame(seed, roster, clock),
        truth=truth,
        incidents=incidents,
    )


def expected_minutes(
    orders: dict[str, NDArray], shops: dict[str, Floats], roster: dict[str, NDArray], *, road_works: NDArray[np.bool_]
) -> Floats:
    """The concept: how long an order takes, apart from chance. Shape ``(orders,)``, minutes.

    Preparation grows with the square of the shop's load; the way takes longer in rain (most on a bike), in the evening
    rush (most in a car) and with a new courier. Road works slow ways of more than about two kilometres.
    """
    rider, distance, minute = orders["courier"], orders["distance_km"], orders["minute"]
    vehicle, tenure = roster["vehicle"][rider], minute / _MINUTES_A_DAY - roster["hired_day"][rider]
    preparation = shops["preparation"][orders["shop"]] * (1 + 0.55 * orders["load"] ** 2) + 0.5 * orders["items"]
    hour = minute % _MINUTES_A_DAY / 60
    rush = np.where((hour >= 17) & (hour < 20), np.array([0.05, 0.45, 0.15])[vehicle], 0.0)
    wet = np.minimum(orders["rain_mm"], 4.0) * np.array([0.16, 0.06, 0.11])[vehicle]
    fresh = 0.40 * np.exp(-tenure / 25)
    pace = MINUTES_PER_KM[vehicle] * (1 + rush + wet + fresh) * roster["skill"][rider]
    works = np.where(road_works, 0.75 / (1 + np.exp(-4 * (distance - 2.2))), 0.0)
    return HANDLING_MINUTES + preparation + distance * pace * (1 + works)


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """Minutes since the start, and what is going on in them."""

    start: datetime
    days: int
    incidents: Sequence[Incident]

    def active(self, kind: Kind, minute: Floats) -> NDArray[np.bool_]:
        """Whether an incident of the kind goes on at these minutes."""
        on = np.zeros(np.shape(minute), dtype=bool)
        for incident in self.incidents:
            if incident.kind == kind:
                until = np.inf if incident.end is None else self.minute(incident.end)
                on |= (minute >= self.minute(incident.start)) & (minute < until)
        return on

    def growth(self, minute: Floats) -> Floats:
        """How much more is ordered than at first, as a factor."""
        factor = np.ones(np.shape(minute))
        for incident in self.incidents:
            if incident.kind == "slow_growth":
                stop = minute if incident.end is None else np.minimum(minute, self.minute(incident.end))
                grown = np.maximum(stop - self.minute(incident.start), 0) / _MINUTES_A_DAY
                factor *= _GROWTH_PER_DAY**grown
        return np.minimum(factor, _GROWTH_LIMIT)

    def minute(self, instant: datetime) -> float:
        """Minutes from the start to an instant."""
        return (instant - self.start) / timedelta(minutes=1)

    def instants(self, minute: Floats | Ints) -> pl.Series:
        """Minutes as instants, to the second."""
        seconds = np.round(np.asarray(minute, dtype=np.float64) * 60).astype(np.int64)
        first = int(self.start.timestamp()) * 1_000_000
        return pl.Series(first + seconds * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _dice(seed: int, *stream: int) -> np.random.Generator:
    """A generator of its own for each purpose, so that more of one thing never changes another."""
    return np.random.default_rng([seed, *stream])


def _sky(seed: int, days: int) -> Floats:
    """The true weather: temperature, rain and wind, of shape ``(hours, zones, 3)``; slow, and alike in all zones."""
    hours = days * 24
    common = _dice(seed, 1).standard_normal((hours, 3))
    local = _dice(seed, 2).standard_normal((hours, len(ZONES), 3))
    slow = np.zeros((hours, 3))
    state = np.zeros(3)
    for hour in range(hours):
        state = 0.93 * state + 0.3676 * common[hour]
        slow[hour] = state
    mixed = slow[:, None, :] + 0.25 * local
    daily = np.sin((np.arange(hours) % 24 - 9) / 24 * 2 * np.pi)[:, None]
    temperature = 6 + 5 * mixed[..., 0] + 3 * daily
    rain = np.maximum(mixed[..., 1] - 0.6, 0) * 2.5
    wind = np.abs(4 + 2.5 * mixed[..., 2])
    return np.stack([temperature, rain, wind], axis=-1)


def _shops(seed: int) -> dict[str, Floats]:
    dice = _dice(seed, 3)
    chain = np.arange(SHOPS) % len(CHAINS)
    return {
        "preparation": np.array([12.0, 17.0, 13.0, 16.0, 10.0])[chain] * dice.uniform(0.85, 1.15, SHOPS),
        "capacity": dice.uniform(2.0, 5.0, SHOPS),
        "popularity": dice.uniform(0.6, 1.4, SHOPS),
    }


def _roster(seed: int) -> dict[str, NDArray]:
    """Everyone who is or will be a courier, by the day of hiring, counted from the start."""
    dice = _dice(seed, 4)
    before = np.sort(-dice.exponential(120, _FIRST_COURIERS))
    after = np.arange(1, _ROSTER - _FIRST_COURIERS + 1) * _DAYS_BETWEEN_HIRES
    return {
        "hired_day": np.concatenate([before, after]),
        "vehicle": dice.choice(len(VEHICLES), _ROSTER, p=[0.5, 0.2, 0.3]),
        "skill": np.exp(0.12 * dice.standard_normal(_ROSTER)),
    }


def _draw_orders(seed: int, clock: _Clock, shops: dict[str, Floats], roster: dict[str, NDArray]) -> dict[str, NDArray]:
    """Throw the dice of every order: arrays of shape ``(orders,)``, in order of time."""
    dice, number = [], []
    for day in range(clock.days):
        # As many candidates as the greatest growth can need; those that no one orders are left out below.
        generator = _dice(seed, 5, day)
        rate = ORDERS_PER_DAY * (1.15 if (clock.start + timedelta(days=day)).weekday() >= 4 else 0.9)
        candidates = int(generator.poisson(rate * _GROWTH_LIMIT))
        dice.append(np.column_stack([generator.random((candidates, 8)), generator.standard_normal((candidates, 2))]))
        number.append(day * 100_000 + np.arange(candidates))
    throw, order_id = np.concatenate(dice), np.concatenate(number)
    minute = order_id // 100_000 * _MINUTES_A_DAY + np.floor(_minute_of_day(throw[:, 0]) * 60) / 60
    kept = throw[:, 1] < clock.growth(minute) / _GROWTH_LIMIT
    by_time = np.lexsort((order_id[kept], minute[kept]))
    throw, order_id, minute = throw[kept][by_time], order_id[kept][by_time], minute[kept][by_time]
    campaign = clock.active("mix_shift", minute)
    zone = np.where(campaign, _pick(throw[:, 2], _boost(ZONE_SHARES, 1, 4.0)), _pick(throw[:, 2], ZONE_SHARES))
    noodles = np.arange(SHOPS) % len(CHAINS) == CHAINS.index("noodle_bar")
    popular = shops["popularity"]
    shop = np.where(campaign, _pick(throw[:, 3], np.where(noodles, 2.5, 1) * popular), _pick(throw[:, 3], popular))
    on_duty = np.searchsorted(roster["hired_day"], minute / _MINUTES_A_DAY, side="right")
    distance = np.clip(np.exp(0.5 * throw[:, 9] + np.array([0.3, 0.9, 0.7, 0.4, 0.5, 0.8])[zone]), 0.3, 9.0).round(2)
    items = 1 + np.floor(-1.6 * np.log1p(-throw[:, 5])).astype(np.int64)
    return {
        "order_id": order_id,
        "minute": minute,
        "zone": zone,
        "shop": shop,
        "courier": np.floor(throw[:, 4] * on_duty).astype(np.int64),
        "distance_km": distance,
        "items": items,
        "basket_eur": (items * (6 + 9 * throw[:, 6])).round(2),
        "promised_minutes": (np.ceil((23 + 3.4 * distance + 0.5 * items) / 5) * 5).astype(np.int64),
        "confirmation": throw[:, 7],
        "noise": throw[:, 8],
    }


def _minute_of_day(uniform: Floats) -> Floats:
    edges = np.concatenate([[0.0], np.cumsum(_HOUR_SHARES) / _HOUR_SHARES.sum()])
    open_edges, first = edges[10:24], 10
    return np.interp(uniform, open_edges, (first + np.arange(len(open_edges))) * 60.0)


def _pick(uniform: Floats, weights: Floats) -> Ints:
    """Turn uniform numbers into choices, so that a change of the weights changes as few choices as it can."""
    return np.minimum(np.searchsorted(np.cumsum(weights) / weights.sum(), uniform, side="right"), len(weights) - 1)


def _boost(weights: Floats, position: int, factor: float) -> Floats:
    boosted = weights.copy()
    boosted[position] *= factor
    return boosted


def _orders_in_hand(minute: Floats, shop: Ints, days: int) -> Ints:
    """How many orders each shop got in each half hour, of shape ``(half hours, shops)``."""
    bins = days * _MINUTES_A_DAY // _BIN_MINUTES
    place = (minute // _BIN_MINUTES).astype(np.int64) * SHOPS + shop
    return np.bincount(place, minlength=bins * SHOPS).reshape(bins, SHOPS)


def _load(counts: Ints, minute: Floats, shop: Ints, capacity: Floats) -> Floats:
    """Orders of the half hour before, as a share of what the shop can do; at most 2."""
    before = (minute // _BIN_MINUTES).astype(np.int64) - 1
    in_hand = np.where(before >= 0, counts[np.maximum(before, 0), shop], 0)
    return np.minimum(in_hand / capacity[shop], 2.0)


def _order_frame(drawn: dict[str, NDArray], clock: _Clock, took: Floats, *, late: NDArray[np.bool_]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "order_id": drawn["order_id"],
            "ordered_at": clock.instants(drawn["minute"]),
            "zone": _named(drawn["zone"], ZONES),
            "shop": _numbered(drawn["shop"], "shop"),
            "chain": _named(drawn["shop"] % len(CHAINS), CHAINS),
            "courier": _numbered(drawn["courier"], "courier"),
            "distance_km": drawn["distance_km"],
            "items": drawn["items"],
            "basket_eur": drawn["basket_eur"],
            "promised_minutes": drawn["promised_minutes"],
            "delivered_at": clock.instants(drawn["minute"] + took),
            "late": late,
            "confirmed_at": clock.instants(drawn["minute"] + took + 6 + 10 * drawn["confirmation"]),
        }
    )


def _weather_frame(sky: Floats, clock: _Clock) -> pl.DataFrame:
    hours, zones, _ = sky.shape
    # A report is about the hour that begins; each zone's station sends it at a minute of its own.
    minute = (np.arange(hours)[:, None] * 60.0 + np.arange(zones)[None, :]).ravel()
    seen = sky.round(1).copy()
    broken = clock.active("broken_weather_feed", minute).reshape(hours, zones)
    for hour in range(1, hours):
        seen[hour] = np.where(broken[hour][:, None], seen[hour - 1], seen[hour])
    frame = pl.DataFrame(
        {
            "zone": _named(np.tile(np.arange(zones), hours), ZONES),
            "observed_at": clock.instants(minute),
            "temperature_c": seen[..., 0].ravel(),
            "rain_mm": seen[..., 1].ravel(),
            "wind_ms": seen[..., 2].ravel(),
        }
    )
    no_rain_value = pl.Series(broken.ravel())
    return frame.with_columns(rain_mm=pl.when(no_rain_value).then(None).otherwise(pl.col("rain_mm")))


def _shop_frame(seed: int, counts: Ints, shops: dict[str, Floats], clock: _Clock) -> pl.DataFrame:
    bins = len(counts)
    dice = _dice(seed, 6).random((bins, SHOPS, 2))
    # The report at the end of a half hour, while the shops are open.
    at = (np.arange(bins) + 1) * _BIN_MINUTES
    is_open = (at % _MINUTES_A_DAY >= 10 * 60) & (at % _MINUTES_A_DAY <= 23 * 60)
    load = np.minimum(counts / shops["capacity"], 2.0)
    preparation = shops["preparation"] * (1 + 0.55 * load**2) * (0.9 + 0.2 * dice[..., 0])
    minute = np.repeat(at[is_open], SHOPS)
    return pl.DataFrame(
        {
            "shop": _numbered(np.tile(np.arange(SHOPS), int(is_open.sum())), "shop"),
            "reported_at": clock.instants(minute),
            "created": clock.instants(minute + 1 + 5 * dice[is_open][..., 1].ravel()),
            "preparation_minutes": preparation[is_open].ravel().round(1),
            "orders_in_hand": counts[is_open].ravel(),
        }
    )


def _courier_frame(seed: int, roster: dict[str, NDArray], clock: _Clock) -> pl.DataFrame:
    """The staff list: at hiring, or at the start, and then every seven days; entered up to half a day later."""
    hired = roster["hired_day"]
    first = np.maximum(hired, -1.0)
    weeks = clock.days // 7 + 1
    day = first[:, None] + 7.0 * np.arange(weeks)[None, :]
    # One stream for each courier, so that a longer world has the same beginning.
    delay = np.stack([_dice(seed, 7, each).random(weeks) for each in range(len(hired))]) * 12 * 60
    delay[:, 0] = 0.0  # nobody rides before being on the list
    is_past = day < clock.days
    who = np.broadcast_to(np.arange(len(hired))[:, None], day.shape)[is_past]
    minute = np.floor(day[is_past] * _MINUTES_A_DAY)
    return pl.DataFrame(
        {
            "courier": _numbered(who, "courier"),
            "changed_at": clock.instants(minute),
            "created": clock.instants(minute + delay[is_past]),
            "vehicle": _named(roster["vehicle"][who], VEHICLES),
            "experience_days": np.maximum(day[is_past] - hired[who], 0.0).round(1),
        }
    ).sort("changed_at", "courier")


def _named(codes: Ints, names: Sequence[str]) -> pl.Series:
    return pl.Series(list(names)).gather(codes)


def _numbered(codes: Ints, kind: str) -> pl.Series:
    return _named(codes, [f"{kind}_{number:03}" for number in range(int(codes.max(initial=0)) + 1)])
