"""A small project on disk, and the real command run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.preloaded import run_command
from tests.tracking import place_tracking

FRESH = bool(os.environ.get("EVERFIT_TEST_FRESH"))
"""Run each command in a process that has imported nothing before."""

DEFINITIONS = """
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)


@ef.feature_view(entities=[shop], source=orders, timestamp="delivered_at", ttl="2d", lookback="1d")
def shop_record(orders):
    return orders.sort("delivered_at").rolling("delivered_at", period="1d", group_by="shop").agg(pl.col("late").mean())


late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(orders, id="order_id"),
    request=["shop", "distance_km", "ordered_at"],
    features=[shop_record, "shop", "distance_km"],
    label=ef.Label("late", known_at="delivered_at"),
    slices=["shop"],
)


@late.trainer(learning_rate=ef.Float(0.02, 0.3, log=True))
def train(X, y, learning_rate, seed):
    return HistGradientBoostingClassifier(learning_rate=learning_rate, max_iter=40, random_state=seed).fit(X, y)
"""

AS_OF = ("--as-of", "2026-01-21T20:00Z")
"""When the data ends; later, the freshness gate refuses it, and rightly so."""


@dataclass(frozen=True)
class Answer:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


def everfit(folder: Path, *words: str, timeout_s: float = 120.0, fresh: bool = FRESH, **variables: str) -> Answer:
    """Run the real command in a folder; ``fresh`` in a process that has imported nothing before."""
    # As wide as a table is in a pipe, whatever runs the tests: a worker of pytest-xdist has COLUMNS=80.
    environment = os.environ | {"COLUMNS": "120"} | variables
    if not fresh:
        return Answer(*run_command(folder, words, environment, timeout_s=timeout_s))
    done = subprocess.run(
        [sys.executable, "-m", "everfit", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def orders(rows: int = 3_000) -> pl.DataFrame:
    """Orders of 2026-01: the farther, the later; the label is known 40 minutes after the event."""
    random = np.random.default_rng(0)
    distance = random.gamma(2.0, 2.0, rows)
    shops = random.integers(0, 8, rows)
    ordered = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * number) for number in range(rows)]
    return pl.DataFrame(
        {
            "order_id": [f"order-{number}" for number in range(rows)],
            "shop": [f"shop-{number}" for number in shops],
            "distance_km": distance,
            "ordered_at": ordered,
            "delivered_at": [instant + timedelta(minutes=40) for instant in ordered],
            "late": random.random(rows) < 1 / (1 + np.exp(3 - distance / 2 - shops / 4)),
        }
    )


def make_project(folder: Path, *, definitions: str = DEFINITIONS, data: pl.DataFrame | None = None) -> Path:
    """Write the project's files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "everfit.toml").write_text('[project]\nname = "shop"\nmodule = "shop"\n\n[training]\ntrials = 2\n')
    (folder / "shop.py").write_text(definitions)
    (orders() if data is None else data).write_parquet(folder / "orders.parquet")
    place_tracking(folder)
    return folder
