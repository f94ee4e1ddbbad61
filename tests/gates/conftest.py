"""A small world to judge: taxi rides that are late or not, and a model of them that is a formula."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import ID, Evidence, SourceFreshness, Task
from everfit.measures.weighting import Floats

START = datetime(2025, 3, 1, tzinfo=UTC)
FEATURES = ("town", "distance", "weather.rain")


@dataclasses.dataclass(frozen=True)
class World:
    """Evidence with a correct model in it, and what it takes to bend it."""

    evidence: Evidence
    odds: Floats
    """Of the hold-out's rows, the true log odds."""

    def but(self, **changes: Any) -> Evidence:
        return dataclasses.replace(self.evidence, **changes)

    def noisy(self, by: float, seed: int = 5) -> Floats:
        """The true chances with noise on the log odds."""
        return chance(self.odds + np.random.default_rng(seed).normal(0, by, len(self.odds)))


def chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float64)


def rides(rows: int, random: np.random.Generator, start: datetime) -> pl.DataFrame:
    town = random.choice(["Aachen", "Bremen", "Celle"], rows)
    rain = random.gamma(2.0, 1.0, rows)
    return pl.DataFrame(
        {
            ID: [f"{start:%m}-{row}" for row in range(rows)],
            TIME: pl.Series([start + timedelta(minutes=row) for row in range(rows)]).cast(pl.Datetime("us", "UTC")),
            "town": town.tolist(),
            "distance": random.uniform(1, 30, rows),
            "weather.rain": pl.Series(np.where(random.random(rows) < 0.1, np.nan, rain)).fill_nan(None),
            "passenger": [f"person {number}" for number in random.integers(0, 10_000, rows)],
        }
    ).with_columns(pl.col(TIME).alias(KNOWN_AT))


def log_odds(frame: pl.DataFrame) -> Floats:
    rain = frame["weather.rain"].fill_null(2.0).to_numpy()
    return np.asarray(frame["distance"].to_numpy() / 10 + rain / 2 - 3, dtype=np.float64)


def answer(row: Mapping[str, Any]) -> Floats:
    """What an estimator does that takes missing values and clips extreme ones."""
    distance = 15.0 if row["distance"] is None else float(np.clip(row["distance"], 0, 50))
    rain = 2.0 if row["weather.rain"] is None else float(np.clip(row["weather.rain"], 0, 20))
    return chance(np.array([distance / 10 + rain / 2 - 3]))


def build(task: Task = "binary", *, rows: int = 1_500, seed: int = 0) -> World:
    random = np.random.default_rng(seed)
    reference, holdout = rides(4 * rows, random, START), rides(rows, random, START + timedelta(days=30))
    odds = log_odds(holdout)
    labels: dict[str, Any] = {}
    for name, frame in (("reference", reference), ("holdout", holdout)):
        late = random.random(len(frame)) < chance(log_odds(frame))
        minutes = 10 * log_odds(frame) + random.normal(0, 5, len(frame))
        kinds = np.where(late, np.where(random.random(len(frame)) < 0.5, 1, 2), 0)
        labels[name] = {"binary": late, "regression": minutes, "multiclass": kinds}[task]
    reference = reference.with_columns(pl.Series(LABEL, labels["reference"].tolist()))
    holdout = holdout.with_columns(pl.Series(LABEL, labels["holdout"].tolist()))
    expected = chance(odds)
    predicted = {
        "binary": expected,
        "regression": 10 * odds,
        "multiclass": np.column_stack([1 - expected, expected / 2, expected / 2]),
    }[task]
    learnt = labels["reference"].astype(np.float64)
    shares = np.array([(learnt == place).mean() for place in range(3)])
    baseline = {
        "binary": np.full(rows, learnt.mean()),
        "regression": np.full(rows, np.median(learnt)),
        "multiclass": np.tile(shares, (rows, 1)),
    }[task]

    def answer_one(row: Mapping[str, Any]) -> Floats:
        share = answer(row)
        if task == "regression":
            return np.asarray(10 * np.log(share / (1 - share)), dtype=np.float64)
        return share if task == "binary" else np.column_stack([1 - share, share / 2, share / 2])

    evidence = Evidence(
        model="late",
        task=task,
        metric="mae" if task == "regression" else "log_loss",
        features=FEATURES,
        reference=reference,
        holdout=holdout,
        unlabelled=7,
        labels_to_come=5.0,
        classes={"binary": (False, True), "multiclass": (0, 1, 2), "regression": ()}[task],
        truth=labels["holdout"].astype(np.float64),
        weight=np.ones(rows),
        predicted=predicted,
        baseline=baseline,
        champion=None,
        champion_version=None,
        champion_problem="",
        freshness=[
            SourceFreshness(source="stations", view="weather", age=timedelta(minutes=20), ttl=timedelta(hours=3))
        ],
        frame_end=START + timedelta(days=32),
        bootstrap=200,
        seed=11,
        fit_again=lambda: (predicted.copy(), predicted.copy()),
        predict_packaged=predicted.copy,
        answer=answer_one,
    )
    return World(evidence=evidence, odds=odds)


@pytest.fixture(scope="session")
def world() -> World:
    """The binary one."""
    return build()


@pytest.fixture(scope="session")
def build_world() -> Callable[..., World]:
    return build
