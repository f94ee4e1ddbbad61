"""A project as a user would write it, brought to a served model by the real commands.

20,000 questions about 5,000 customers, 20 numbers each. ``churn`` is sent a customer's key and four numbers and looks
the other 16 up; ``flat`` is sent all 20. A request carries no event time, so it is asked as of now. Numbers have six
decimals, as most that are sent do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

CUSTOMERS = 5_000
QUESTIONS = 20_000
NAMES = tuple(f"f{number}" for number in range(20))
LOOKED_UP = 16
EVERFIT = Path(sys.executable).parent / "everfit"

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SETTINGS = """
[project]
name = "bench"
module = "bench"

[training]
trials = 0
bootstrap = 100
"""
_DEFINITIONS = f"""
import polars as pl
from lightgbm import LGBMClassifier

import everfit as ef

NAMES = {NAMES}
ASKED = NAMES[{LOOKED_UP}:]

questions = ef.Source("questions", path="questions.parquet", timestamp="asked_at")
customers = ef.Source("customers", path="customers.parquet", timestamp="at")
customer = ef.Entity("customer", dtype=pl.Int64)
profile = ef.FeatureView(
    "profile", entities=[customer], source=customers, features=NAMES[:{LOOKED_UP}], ttl="3650d"
)
events = ef.Events(questions, id="id")
label = ef.Label("left", known_at="known_at")

churn = ef.Model(
    "churn", task="binary", events=events, label=label, request=["customer", *ASKED], features=[profile, *ASKED]
)
flat = ef.Model("flat", task="binary", events=events, label=label, request=NAMES, features=NAMES)


@churn.trainer()
@flat.trainer()
def train(X, y, seed):
    return LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1, random_state=seed).fit(X, y)
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project's folder, and what it learns from."""

    folder: Path
    customers: NDArray[np.int64]
    """Who is asked about, a question each."""
    numbers: NDArray[np.float64]
    """The 20 numbers of each question, the looked-up ones first."""
    left: NDArray[np.bool_]
    """The answers."""

    def run(self, *words: str) -> None:
        """A command of Everfit's, in the folder.

        Raises:
            RuntimeError: If it fails, with what it said.
        """
        variables = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [EVERFIT, *words], cwd=self.folder, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"everfit {' '.join(words)} failed:\n{done.stderr[-4000:]}")

    def learn(self) -> None:
        """Fill the online store and train both models; nothing is served yet."""
        self.run("features", "materialize")
        for model in ("churn", "flat"):
            self.run("train", model, "--as-of", "2026-02-01T00:00Z")

    def rows(self, model: str) -> Iterator[dict[str, Any]]:
        """The questions as a model's request wants them."""
        for customer, numbers in zip(self.customers.tolist(), self.numbers.tolist(), strict=True):
            row = dict(zip(NAMES, numbers, strict=True))
            yield row if model == "flat" else {"customer": customer, **{name: row[name] for name in NAMES[LOOKED_UP:]}}

    def fit(self, path: Path) -> float:
        """Save the same estimator for the peers as a joblib file; returns its answer to the first question."""
        import joblib
        from lightgbm import LGBMClassifier

        estimator = LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1, random_state=0)
        estimator.fit(self.numbers, self.left)
        joblib.dump(estimator, path)
        return float(estimator.predict_proba(self.numbers[:1])[0, 1])


def make_project(folder: Path) -> Project:
    """Write the project's files."""
    dice = np.random.default_rng(0)
    profiles = dice.normal(size=(CUSTOMERS, LOOKED_UP)).round(6)
    customers = dice.integers(0, CUSTOMERS, QUESTIONS)
    asked = dice.normal(size=(QUESTIONS, len(NAMES) - LOOKED_UP)).round(6)
    numbers = np.hstack([profiles[customers], asked])
    left = dice.random(QUESTIONS) < 1 / (1 + np.exp(-asked.sum(axis=1) - profiles[customers, :6].sum(axis=1)))
    times = [_START + timedelta(minutes=2 * number) for number in range(QUESTIONS)]
    folder.mkdir()
    (folder / "everfit.toml").write_text(_SETTINGS)
    (folder / "bench.py").write_text(_DEFINITIONS)
    pl.DataFrame(
        {
            "id": [f"question-{number}" for number in range(QUESTIONS)],
            "customer": customers,
            **dict(zip(NAMES, numbers.T, strict=True)),
            "asked_at": times,
            "known_at": [time + timedelta(minutes=5) for time in times],
            "left": left,
        }
    ).write_parquet(folder / "questions.parquet")
    pl.DataFrame(
        {
            "customer": np.arange(CUSTOMERS),
            **dict(zip(NAMES[:LOOKED_UP], profiles.T, strict=True)),
            "at": [_START - timedelta(days=30)] * CUSTOMERS,
        }
    ).write_parquet(folder / "customers.parquet")
    return Project(folder=folder, customers=customers, numbers=numbers, left=left)
