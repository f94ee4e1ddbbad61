"""A project that the loop is tested on in process: a virtual clock, the real ledger, registry, log and engine.

Events come every ten minutes; the label is known an hour later. Low and high values of ``x`` decide the label, the one
way until :data:`CHANGE` and the other way afterwards, so that a version from before is wrong afterwards; values in the
middle do not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from tests.tracking import place_tracking

from everfit.artifact.package import open_package
from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.clock import FixedClock, to_us
from everfit.core.order import OrderRecord
from everfit.core.sqlite_url import sqlite_url
from everfit.loop.loop import Loop
from everfit.loop.retrain_job import REQUEST, order_folder, run_training
from everfit.loop.training_record import TrainingOutcome, TrainingRequest
from everfit.runtime.launcher import launcher_of
from everfit.runtime.workflows import Engine
from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.record_log import PredictionLog
from everfit.system import System
from everfit.wiring import open_system

MODEL = "late"
START = datetime(2026, 1, 1, tzinfo=UTC)
TRAINED = datetime(2026, 1, 21, tzinfo=UTC)
"""When version 1 was trained."""
CHANGE = datetime(2026, 1, 22, tzinfo=UTC)
EVERY, DELAY = timedelta(minutes=10), timedelta(hours=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_LONGEST_S = 60.0

_SETTINGS = """
[project]
name = "town"
module = "town"

[training]
trials = 0
bootstrap = 100
"""

_DEFINITIONS = """
import numpy as np

import everfit as ef

rides = ef.Source("rides", path="rides.parquet", timestamp="at")
late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(rides, id="ride"),
    request=["x", "at"],
    features=["x"],
    label=ef.Label("late", known_at="known"),
)


class Bins:
    \"\"\"The share of late rides below, within and above the middle of x's range, by the newest rows.\"\"\"

    def fit(self, X, y):
        X, y = X[-100:], y[-100:]
        self.classes_ = np.array([False, True])
        bins = np.digitize(X[:, 0], [0.4, 0.6])
        self.rates = np.array([(y[bins == number].sum() + 1) / ((bins == number).sum() + 2) for number in range(3)])
        return self

    def predict_proba(self, X):
        late = self.rates[np.digitize(X[:, 0], [0.4, 0.6])]
        return np.stack([1 - late, late], axis=1)

    def predict(self, X):
        return self.predict_proba(X)[:, 1] > 0.5


@late.trainer()
def train(X, y):
    return Bins().fit(X, y)


late.ship_when(ef.MaxLatency(p99_ms=1000))
late.roll_out(ef.Shadow(requests=100, at_most="2h"), ef.Canary(0.5, requests=100, at_most="2h"), watch="1d")
"""


def definitions(policy: str) -> str:
    """Return the project's module, with a call of ``retrain_when``."""
    return f"{_DEFINITIONS}\n{policy}\n"


def rides(days: float, *, change: datetime | None = CHANGE) -> pl.DataFrame:
    """Return the events of so many days from :data:`START` on, labels of the future included."""
    rows, random = int(days * DAY / EVERY), np.random.default_rng(0)
    at = [START + number * EVERY for number in range(rows)]
    x = random.random(rows)
    right = np.array([change is None or instant < change for instant in at])
    chance = np.where(abs(x - 0.5) < 0.1, 0.5, np.where((x >= 0.5) == right, 0.9, 0.1))
    return pl.DataFrame(
        {
            "ride": [f"ride-{number}" for number in range(rows)],
            "x": x,
            "at": at,
            "known": [instant + DELAY for instant in at],
            "late": random.random(rows) < chance,
        }
    )


class TownLoop(Loop):
    """The loop, whose training process is a call of the same function that the process calls."""

    dead: threading.Event | None = None
    """With it, trainings never end, as if this process had been killed in one; set it to end their threads."""

    def _train(self, request: TrainingRequest, number: int) -> TrainingOutcome:
        if self.dead is not None:
            self.dead.wait()
            raise SystemExit
        folder = order_folder(self._system, number)
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(REQUEST).write_bytes(msgspec.json.encode(request))
        return run_training(self._system, folder)


class Town:
    """A project, its loop, and the present instant.

    Args:
        folder: As :func:`found` leaves it, or a copy.
        policy: The call of ``retrain_when`` that is added to the project's file.
        data: Instead of the events that :func:`found` wrote.
        in_replay: The clock is taken for a replay's.
    """

    def __init__(self, folder: Path, policy: str, *, data: pl.DataFrame | None = None, in_replay: bool = False) -> None:
        folder.joinpath("town.py").write_text(definitions(policy))
        self.rides = rides(60) if data is None else data
        self.rides.write_parquet(folder / "rides.parquet")
        self.clock = FixedClock(TRAINED)
        self.system: System = open_system(folder, clock=self.clock)
        self.loop = TownLoop(
            self.system,
            partial(launcher_of, folder, self.system.state),
            open_engine=partial(Engine, sqlite_url(self.system.state / "loop.db")),
            in_replay=in_replay,
        )
        self._log = PredictionLog(self.system.journal / PREDICTIONS)
        self._layouts: dict[str, int] = {}
        self._served_until = TRAINED

    def go_on(self, by: timedelta) -> None:
        """Let time go by, in which every ride is predicted by the versions that receive its request."""
        until = self.clock.instant + by
        deployed = self.system.deployment.of(MODEL)
        assert deployed is not None
        asked = self.rides.filter(pl.col("at") >= self._served_until, pl.col("at") < until)
        half = asked["ride"].hash() % 2 == 0
        for route, version, rows in (
            ("champion", deployed.champion, asked if deployed.canary is None else asked.filter(~half)),
            ("canary", deployed.canary, asked.filter(half)),
            ("shadow", deployed.shadow, asked),
        ):
            if version is not None and rows.height:
                self._predict(route, version.digest, self.system.deployment.folder_of(version), version.version, rows)
        self._served_until = self.clock.instant = until

    def _predict(self, route: str, digest: str, folder: Path, version: int, rows: pl.DataFrame) -> None:
        package = open_package(folder, trust=self.system.trust)
        schema = package.schema
        if digest not in self._layouts:
            layout = PredictionLayout(
                number=0,
                model=MODEL,
                version=version,
                digest=digest,
                task=schema.task,
                request=tuple((field.name, field.type) for field in schema.request),
                features=(),
                classes=schema.classes,
                event_time=schema.event_time,
            )
            self._layouts[digest] = self._log.describe(layout)
        values = package.predictor().predict(package.transform(rows)).tolist()
        columns = [field.name for field in schema.request]
        requests = rows.select(columns).rows()
        for number, ride in enumerate(rows["ride"]):
            self._log.append(
                Predictions(
                    layout=self._layouts[digest],
                    route=route,  # type: ignore[arg-type]
                    recorded_us=to_us(rows["at"][number]),
                    latency_us=100,
                    ids=[ride],
                    rows=[requests[number]],
                    features=[[]],
                    values=[values[number]],
                )
            )

    def round(self) -> None:
        """Make a round, and wait until everything that it started has ended."""
        self.loop.round()
        deadline_s = time.monotonic() + _LONGEST_S
        while "running" in self.loop._engine.states("").values():
            assert time.monotonic() < deadline_s, "what a round started must end"
            time.sleep(0.01)

    def live(self, by: timedelta, *, step: timedelta = HOUR) -> None:
        """Let time go by, with a round after each step."""
        end = self.clock.instant + by
        while self.clock.instant < end:
            self.go_on(step)
            self.round()

    def live_until_champion(self, version: int, *, within: timedelta, step: timedelta = 3 * HOUR) -> None:
        """Let time go by until a version is the champion in the deployment record."""
        end = self.clock.instant + within
        while self.champion != version:
            assert self.clock.instant < end, f"{self.orders} {self.says}"
            self.go_on(step)
            self.round()

    @property
    def champion(self) -> int:
        """The deployed one; the registry must name the same."""
        deployed, registered = self.system.deployment.of(MODEL), self.system.registry.champion(MODEL)
        assert deployed is not None
        assert registered is not None
        assert registered.version == deployed.champion.version
        return registered.version

    @property
    def orders(self) -> tuple[OrderRecord, ...]:
        """All orders, oldest first."""
        return self.system.orders.of(MODEL)

    @property
    def says(self) -> str:
        """The policy's latest sentence."""
        return self.loop._models[MODEL].says


def found(folder: Path) -> Path:
    """Write the project, train its first version by hand and promote it."""
    folder.mkdir(parents=True)
    folder.joinpath("everfit.toml").write_text(_SETTINGS)
    folder.joinpath("town.py").write_text(definitions("late.retrain_when()"))
    rides(21).write_parquet(folder / "rides.parquet")
    place_tracking(folder)
    system = open_system(folder, clock=FixedClock(TRAINED))
    version = train(system, actor="a person").version
    assert version is not None
    promote(system, MODEL, version.version, actor="a person", reason="the first")
    return folder


@contextmanager
def town(folder: Path, policy: str, *, data: pl.DataFrame | None = None, in_replay: bool = False) -> Iterator[Town]:
    """Open a town's loop, and close its engine in the end."""
    opened = Town(folder, policy, data=data, in_replay=in_replay)
    opened.loop.begin()
    try:
        yield opened
    finally:
        opened.loop.end()
        opened.loop._engine.close()
