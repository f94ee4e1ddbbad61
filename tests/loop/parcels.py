"""A small service on the real clock: parcels, and candidates that are not what their gates took them for.

History is in a file; the present is asked through HTTP, and may differ from history as life does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from tests.acceptance.shop import everfit
from tests.serving.test_deployment import wait_for
from tests.tracking import place_tracking

import everfit as ef
from everfit.client.records import Prediction
from everfit.core.rollout import Rollout
from everfit.system import System
from everfit.wiring import open_system

MODEL = "late"
ROWS = 4_000
RARE = "drone"
KINDS = ("bike", "car", "van")

_SETTINGS = """
[project]
name = "parcels"
module = "parcels"

[training]
trials = 0
bootstrap = 100

[loop]
watch_seconds = 0.2
"""

_MODEL = """
import numpy as np
import polars as pl

import everfit as ef

parcels = ef.Source("parcels", path="parcels.parquet", timestamp="sent_at")

late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(parcels, id="parcel"),
    request=["kind", "distance_km", "quoted_minutes"],
    features=FEATURES,
    label=ef.Label("late", known_at="arrived_at"),
)
late.retrain_when(ef.NewRelease())
"""

_PLAIN = """
@late.trainer()
def train(X, y, seed):
    # Here, so that only a training pays for it.
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=30, random_state=seed).fit(X, y)
"""

_BY_KIND = """
class ByKind:
    \"\"\"A model for all kinds; the rarest are judged beside the ten nearest that are asked with them.\"\"\"

    def fit(self, X, y):
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.together = HistGradientBoostingClassifier(max_iter=30).fit(X, y)
        known = np.unique(X[:, 0][~np.isnan(X[:, 0])])
        self.rare = [kind for kind in known if (X[:, 0] == kind).sum() < 100]
        self.classes_ = self.together.classes_
        return self

    def predict_proba(self, X):
        X = X.copy()
        for kind in self.rare:
            rows = X[:, 0] == kind
            if rows.any():
                # There were always ten while it learnt.
                X[rows, 1] = np.maximum(X[rows, 1], np.partition(X[rows, 1], 9)[9])
        return self.together.predict_proba(X)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


@late.trainer()
def train(X, y):
    return ByKind().fit(X, y)
"""

HONEST = "FEATURES = ['kind', 'distance_km']" + _MODEL + _PLAIN
"""What the champion learns by."""
REWRITTEN_FIELD = "FEATURES = ['kind', 'distance_km', 'quoted_minutes']" + _MODEL + _PLAIN
"""A release that also learns from the quote, which history overwrites with how long the parcel took in the end."""
FAILS_ON_THE_RARE = "FEATURES = ['kind', 'distance_km']" + _MODEL + _BY_KIND
"""A release that answers for a rare kind only where ten are asked together: that its own rows are shows nothing."""

BATCH, PAUSE_S = 40, 0.2
"""Slow enough for a shadow to keep up with on a busy machine."""


def sent(rows: int, *, drones: float, seed: int) -> pl.DataFrame:
    """Parcels: the farther, the later; a van is slower. ``minutes`` is how long each took."""
    random = np.random.default_rng(seed)
    kind, distance = random.choice(KINDS, rows), random.gamma(2.0, 2.0, rows)
    late = random.random(rows) < 1 / (1 + np.exp(2.5 - distance / 2 - (kind == "van")))
    kind = np.where(random.random(rows) < drones, RARE, kind)
    minutes = np.where(late, random.uniform(41, 70, rows), random.uniform(10, 40, rows))
    return pl.DataFrame({"kind": kind, "distance_km": distance, "late": late, "minutes": minutes})


def history() -> pl.DataFrame:
    """Of the twenty days until an hour ago. Drones flew in the second quarter only."""
    end = datetime.now(UTC) - timedelta(hours=1)
    every = timedelta(days=20) / ROWS
    at = [end - (ROWS - number) * every for number in range(ROWS)]
    quarters = [sent(ROWS // 4, drones=0.05 * (number == 1), seed=number) for number in range(4)]
    return (
        pl.concat(quarters)
        .with_columns(
            pl.Series("sent_at", at),
            pl.Series("arrived_at", [instant + timedelta(minutes=40) for instant in at]),
            parcel=pl.format("past-{}", pl.int_range(pl.len())),
            # The quote was overwritten: what is on record now is how long it took.
            quoted_minutes=pl.col("minutes"),
        )
        .drop("minutes")
    )


def make_champion(folder: Path) -> Path:
    """A project with a sound champion."""
    folder.mkdir(parents=True)
    folder.joinpath("everfit.toml").write_text(_SETTINGS)
    folder.joinpath("parcels.py").write_text(HONEST)
    history().write_parquet(folder / "parcels.parquet")
    place_tracking(folder)
    for words in (("train",), ("promote",)):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    return folder


def release(folder: Path, definitions: str, *, plan: str) -> None:
    """Other code for the model, that the loop finds when it starts."""
    folder.joinpath("parcels.py").write_text(f"{definitions}\n\nlate.roll_out({plan})\n")


@contextmanager
def running(folder: Path, *options: str, log: str = "up.log", crash: bool = False) -> Iterator[str]:
    """The whole system: its URL. It must end by itself when it is told to, unless somebody crashes it."""
    errors_file = folder / log
    command = [sys.executable, "-m", "everfit", "up", "--port", "0", "--json", *options]
    with (
        errors_file.open("w") as errors,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            line = process.stdout.readline()
            assert line, f"it ended with {process.poll()}: {text}{errors_file.read_text()}"
            text += line
        try:
            yield json.loads(text)["url"]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == (-signal.SIGKILL if crash else 0)


@dataclass
class Life:
    """What is asked of the running system, and what it answered."""

    folder: Path
    url: str
    answers: list[Prediction] = field(default_factory=list)
    untold: list[dict[str, object]] = field(default_factory=list)
    asked: int = 0

    @cached_property
    def system(self) -> System:
        """A look at its stores from outside."""
        return open_system(self.folder)

    def rollout(self) -> Rollout | None:
        """The newcomer's."""
        return next(iter(self.system.rollouts.of(MODEL)), None)

    def wait_for_newcomer(self) -> Rollout:
        """The release asks for a training; wait until what it made is tried."""
        wait_for(lambda: self.rollout() is not None or self._in_vain() is not None, seconds=120)
        assert self._in_vain() is None, self._in_vain()
        found = self.rollout()
        assert found is not None
        return found

    def go_on(
        self, until: Callable[[Rollout], bool], *, drones: float = 0.0, tell: bool = True, seconds: float = 120.0
    ) -> Rollout:
        """Ask parcel after parcel, and tell what became of them, until a rollout is where it should be."""
        ends_s = time.monotonic() + seconds
        with ef.Client(self.url) as client:
            while time.monotonic() < ends_s:
                now = self.rollout()
                assert now is not None
                if until(now):
                    return now
                self._ask(client, drones)
                if tell:
                    client.outcomes(MODEL, self.untold)
                    self.untold.clear()
                time.sleep(PAUSE_S)
        raise AssertionError(f"after {self.asked} parcels: {self.rollout()}")

    def _in_vain(self) -> str | None:
        """Why the training brought nothing, if it did not."""
        return next((each.sentence for each in self.system.orders.of(MODEL) if each.brought_nothing), None)

    def _ask(self, client: ef.Client, drones: float) -> None:
        rows = sent(BATCH, drones=drones, seed=1_000 + self.asked)
        # Nobody knows how long it will take: what callers send is a guess.
        guess = np.random.default_rng(self.asked).uniform(10, 70, BATCH)
        inputs = rows.select("kind", "distance_km", pl.Series("quoted_minutes", guess)).to_dicts()
        ids = [f"parcel-{self.asked + number}" for number in range(BATCH)]
        self.asked += BATCH
        self.answers += client.predict(MODEL, inputs, ids=ids)
        outcomes = zip(ids, rows["late"].cast(pl.Int64).to_list(), strict=True)
        self.untold += [{"id": each, "value": value} for each, value in outcomes]
