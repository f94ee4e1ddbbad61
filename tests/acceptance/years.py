"""Simulated years of two services whose data are not among the shared sets.

Tickets: which team a support ticket belongs to (multiclass); fraud is rare, vanishes in April and returns in September.
Meters: what a household uses tomorrow (regression); the key is a string, and new meters are installed all year.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from tests.tracking import place_tracking

START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
"""The year that is replayed."""
HISTORY_DAYS, DAYS = 90, 90 + 365
VANISHES, RETURNS = datetime(2025, 4, 1, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)
"""Between these instants no ticket is about fraud."""

TEAMS = ("billing", "delivery", "fraud", "returns")

_SETTINGS = """
[project]
name = "{name}"
module = "{name}"

[training]
trials = 0
bootstrap = 100
"""

_TICKETS = """
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

tickets = ef.Source("tickets", path="tickets.parquet", timestamp="opened_at")
product = ef.Entity("product", dtype=pl.String)


@ef.feature_view(entities=[product], source=tickets, timestamp="closed_at", ttl="30d", lookback="14d")
def product_record(tickets):
    counted = tickets.with_columns(returned=pl.col("team") == "returns").sort("closed_at")
    return counted.rolling("closed_at", period="14d", group_by="product").agg(pl.col("returned").mean(), count=pl.len())


team = ef.Model(
    "team",
    task="multiclass",
    events=ef.Events(tickets, id="ticket"),
    request=["product", "channel", "words", "amount", "opened_at"],
    features=[product_record, "product", "channel", "words", "amount"],
    label=ef.Label("team", known_at="closed_at"),
)


@team.trainer()
def train(X, y, seed):
    return HistGradientBoostingClassifier(max_iter=40, random_state=seed).fit(X, y)
"""

_METERS = """
import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

import everfit as ef

readings = ef.Source("readings", path="readings.parquet", timestamp="day")
meter = ef.Entity("meter", dtype=pl.String)


@ef.feature_view(entities=[meter], source=readings, timestamp="read_at", ttl="10d", lookback="8d")
def recent_use(readings):
    return readings.sort("read_at").rolling("read_at", period="7d", group_by="meter").agg(
        mean=pl.col("kwh").mean(), last=pl.col("kwh").last()
    )


use = ef.Model(
    "use",
    task="regression",
    events=ef.Events(readings, id="reading"),
    request=["meter", "tariff", "forecast_c", "day"],
    features=[recent_use, "meter", "tariff", "forecast_c"],
    label=ef.Label("kwh", known_at="read_at"),
)


@use.trainer()
def train(X, y, seed):
    return HistGradientBoostingRegressor(max_iter=40, random_state=seed).fit(X, y)
"""


def make_tickets(folder: Path) -> Path:
    """Write the project of the tickets: 40 a day, known to belong to a team within three days."""
    rows = DAYS * 40
    random = np.random.default_rng(7)
    at = [START - timedelta(days=HISTORY_DAYS) + number * timedelta(minutes=36) for number in range(rows)]
    opened = pl.Series("opened_at", at)
    product = random.choice(["lamp", "chair", "desk", "rug"], rows)
    channel = random.choice(["mail", "chat", "phone"], rows, p=[0.5, 0.3, 0.2])
    amount = np.round(random.gamma(2.0, 40.0, rows), 2)
    # In June the desk's new series begins to be sent back.
    new_series = (product == "desk") & (opened >= datetime(2025, 6, 1, tzinfo=UTC)).to_numpy()
    fraud_exists = ((opened < VANISHES) | (opened >= RETURNS)).to_numpy()
    scores = np.stack(
        [
            1.0 + 1.2 * (channel == "mail"),
            0.8 + 1.0 * (channel == "phone") + 0.5 * (product == "rug"),
            np.where(fraud_exists, -2.5 + amount / 60, -np.inf),
            0.3 + 0.8 * (product == "chair") + 2.5 * new_series,
        ],
        axis=1,
    )
    place = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    words = np.maximum(random.poisson(30 + 25 * (place == 1) + 10 * (place == 2)), 3)
    closed = [
        instant + timedelta(hours=float(hours)) for instant, hours in zip(at, random.uniform(1, 72, rows), strict=True)
    ]
    data = pl.DataFrame(
        {
            "ticket": [f"T{number:06d}" for number in range(rows)],
            "product": product,
            "channel": channel,
            "words": words,
            "amount": amount,
            "opened_at": opened,
            "closed_at": closed,
            "team": np.array(TEAMS)[place],
        }
    )
    return _write(folder, "tickets", _TICKETS, data, "tickets.parquet")


def make_meters(folder: Path) -> Path:
    """Write the project of the meters: one reading a day and meter, known the morning after."""
    random = np.random.default_rng(11)
    meters = 60
    first_day = np.where(np.arange(meters) < 40, 0, random.integers(HISTORY_DAYS, DAYS - 30, meters))
    level = random.gamma(6.0, 2.0, meters)
    electric_heating = random.random(meters) < 0.4
    columns: dict[str, list[object]] = {name: [] for name in ("reading", "meter", "tariff", "forecast_c", "day", "kwh")}
    for day in range(DAYS):
        at = START + timedelta(days=day - HISTORY_DAYS)
        cold = 10 - 12 * np.cos(2 * np.pi * (at.timetuple().tm_yday - 15) / 365) + random.normal(0, 2)
        for number in np.flatnonzero(first_day <= day):
            heat = max(16 - cold, 0) * (0.9 if electric_heating[number] else 0.1)
            columns["reading"].append(f"R{day:03d}-{number:02d}")
            columns["meter"].append(f"M-{number:04d}/north" if number % 3 else f"M-{number:04d}")
            columns["tariff"].append("night" if electric_heating[number] else "flat")
            columns["forecast_c"].append(round(cold + random.normal(0, 1), 1))
            columns["day"].append(at)
            columns["kwh"].append(round(max(level[number] + heat + random.normal(0, 1.5), 0.1), 2))
    data = pl.DataFrame(columns).with_columns(read_at=pl.col("day") + pl.duration(hours=30))
    return _write(folder, "meters", _METERS, data, "readings.parquet")


def _write(folder: Path, name: str, definitions: str, data: pl.DataFrame, file: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "everfit.toml").write_text(_SETTINGS.format(name=name))
    (folder / f"{name}.py").write_text(definitions)
    data.write_parquet(folder / file)
    place_tracking(folder)
    return folder
