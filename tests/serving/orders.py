"""A small shop: its history, its model's package and its online store, all made by the real parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.artifact.manifest import Lineage
from everfit.artifact.package_writer import write_package
from everfit.artifact.provenance import code_version, library_versions
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.schema import InputSchema
from everfit.artifact.signing import Signer, Trust
from everfit.core.clock import Clock, FixedClock
from everfit.core.columns import LABEL
from everfit.core.evidence import Task
from everfit.core.settings import ServingSettings
from everfit.features.history import build_frame
from everfit.features.materialize import materialize
from everfit.serving.inference.data_plane import DataPlane
from everfit.serving.inference.model_loader import ModelLoader
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.release_webhook import ReleaseWebhook
from everfit.serving.worker import Worker
from everfit.store.deployment import Deployed, DeploymentRecord, ModelDeployment
from everfit.store.reader import Reader
from everfit.store.sqlite_online import OnlineStore

SIGNER = Signer(bytes(range(32)))
TRUST = Trust([SIGNER.key])
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
ROWS = 4_000
SHOPS = 300
ROW: dict[str, Any] = {
    "shop": "shop-7",
    "kind": 3,
    "weight kg": 1.5,
    "express": True,
    "ordered_at": "2026-01-05T12:00:00Z",
    "wanted_on": "2026-01-06",
}


@dataclass(frozen=True)
class Shop:
    """Where everything lies, and what the estimator itself says."""

    folder: Path
    schema: InputSchema
    frame: pl.DataFrame
    native: NDArray[np.float64]

    @property
    def deployment(self) -> DeploymentRecord:
        return DeploymentRecord(self.folder / "deployment.json")

    @property
    def package(self) -> Path:
        return self.folder / "package"

    def online(self) -> OnlineStore:
        return OnlineStore(self.folder / "online.db")

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def deploy(self, champion: Deployed, **beside: Any) -> None:
        """Let versions answer; see :class:`everfit.store.deployment.ModelDeployment`."""
        wanted = ModelDeployment(model=self.schema.model, champion=champion, **beside)
        self.deployment.change(self.schema.model, lambda _: wanted, changed_at=NOW)

    def data_plane(self, clock: Clock | None = None) -> DataPlane:
        """The data plane of such a worker."""
        return self.worker(clock, max_rows=100_000).data_plane

    def worker(self, clock: Clock | None = None, *, slot: int = 0, **settings: Any) -> Worker:
        """A worker that serves what is deployed, and has loaded it."""
        serving = msgspec.convert({"port": 0} | settings, ServingSettings)
        online = self.online()
        worker = Worker(
            ModelLoader(self.deployment, trust=TRUST, online=online, max_rows=serving.max_rows),
            online=online,
            prediction_logger=PredictionLogger(
                self.journal, durability=serving.durability, seal_after_s=serving.seal_seconds
            ),
            settings=serving,
            clock=clock or FixedClock(NOW),
            slot=slot,
            reports=self.folder / "workers",
            webhook=ReleaseWebhook(self.folder, clock or FixedClock(NOW)),
        )
        worker.load()
        return worker


@ef.on_demand
def calendar(request: pl.DataFrame) -> pl.DataFrame:
    return request.select(
        hour=pl.col("ordered_at").dt.hour(),
        weekday=pl.col("wanted_on").dt.weekday(),
        heavy=pl.col("weight kg") > 2,
    )


@ef.on_demand
def waiting(request: pl.DataFrame) -> pl.DataFrame:
    return request.select(weekday=pl.col("wanted_on").dt.weekday(), heavy=pl.col("weight kg") > 2)


def make_shop(folder: Path, estimator: Any, task: Task = "binary", *, asks_when: bool = True) -> Shop:
    """Write sources, fit, package, deploy and materialise.

    ``asks_when``: whether requests carry the event time.
    """
    folder.mkdir(parents=True)
    _write_sources(folder, task)
    return deploy_model(folder, define(task, asks_when=asks_when), estimator, until=NOW)


def deploy_model(folder: Path, model: ef.Model, estimator: Any, *, until: datetime) -> Shop:
    """Fit, package and deploy a model as version 3, and materialise its views; the sources are there."""
    reader = Reader(folder, {})
    frame = build_frame(model, reader, as_of=until)
    learnt, held_back = frame.data.head(len(frame.data) * 3 // 4), frame.data.tail(len(frame.data) // 4)
    schema = infer_schema(model, frame, learnt)
    estimator.fit(encode_frame(schema, learnt), learnt[LABEL].cast(pl.Float64).to_numpy())
    predict = NativePredictor("fitted", estimator, schema).predict
    lineage = Lineage(frame=frame.manifest, params={}, seed=0, code=code_version(folder), libraries=library_versions())
    fitted = Fitted(estimator=estimator, schema=schema, predict=predict)
    package = write_package(
        folder / "package", fitted=fitted, model=model, rows=held_back, lineage=lineage, signer=SIGNER
    )
    shop = Shop(folder, schema, frame.data, predict(encode_frame(schema, frame.data)))
    materialize(model.views, reader, shop.online(), until=until)
    shop.deploy(Deployed(version=3, digest=package.digest, folder="package"))
    return shop


def trees(task: Task = "binary") -> Any:
    """Served by treelite."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(max_iter=30, random_state=0)


def lightgbm() -> Any:
    """Served by LightGBM's own library."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1, random_state=0)


def request_of(row: dict[str, Any], schema: InputSchema) -> dict[str, Any]:
    """A frame's row as JSON carries it."""
    return {
        field.name: value.isoformat() if isinstance(value := row[field.name], date) else value
        for field in schema.request
    }


def define(task: Task = "binary", *, asks_when: bool = True) -> ef.Model:
    """The shop's project file."""
    orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
    shops = ef.Source("shops", path="shops.parquet", timestamp="at", created="known")
    kinds = ef.Source("kinds", path="kinds.parquet", timestamp="at")
    shop, kind = ef.Entity("shop", dtype=pl.String), ef.Entity("kind", dtype=pl.Int64)
    # Each entity has one row: some are too old for some events, some not known in time, some do not exist.
    rating = ef.FeatureView("rating", entities=[shop], source=shops, features=["stars", "chain"], ttl="5d")
    demand = ef.FeatureView("demand", entities=[shop, kind], source=kinds, features=["open"], ttl="30d")
    request = ["shop", "kind", "weight kg", "express", "wanted_on"]
    return ef.Model(
        "late",
        task=task,
        events=ef.Events(orders, id="order"),
        request=[*request, "ordered_at"] if asks_when else request,
        features=[rating, demand, calendar if asks_when else waiting, "shop", "weight kg", "express"],
        label=ef.Label("late", known_at="delivered_at"),
    )


def _write_sources(folder: Path, task: Task) -> None:
    dice = np.random.default_rng(0)
    days = pl.duration(minutes=pl.col("minute"))
    weight = dice.gamma(2.0, 1.0, ROWS)
    shops, kinds = dice.integers(0, SHOPS, ROWS), dice.integers(0, 5, ROWS)
    score = weight + kinds / 4 + shops % 7 / 3 + dice.normal(0, 0.5, ROWS)
    label = {"binary": score > np.median(score), "regression": score}.get(task)
    if label is None:
        label = np.digitize(score, np.quantile(score, [0.3, 0.6]))
    gaps = pl.int_range(pl.len())
    pl.DataFrame(
        {
            "order": [f"order-{number}" for number in range(ROWS)],
            "shop": [f"shop-{number}" for number in shops],
            "kind": kinds,
            "weight kg": weight,
            "express": dice.random(ROWS) < 0.3,
            "late": label,
            "minute": np.sort(dice.integers(0, 9 * 1440, ROWS)),
        }
    ).with_columns(
        pl.when(gaps % 11 > 0).then("shop").alias("shop"),
        pl.when(gaps % 13 > 0).then("weight kg").alias("weight kg"),
        pl.when(gaps % 17 > 0).then("express").alias("express"),
        ordered_at=pl.lit(START) + days,
        delivered_at=pl.lit(START) + days + timedelta(minutes=40),
        wanted_on=(pl.lit(START) + days).dt.date() + timedelta(days=1),
    ).write_parquet(folder / "orders.parquet")
    known = [number for number in range(SHOPS) if number % 10]
    pl.DataFrame(
        {
            "shop": [f"shop-{number}" for number in known],
            "stars": [None if number % 9 == 0 else number % 7 / 3 for number in known],
            "chain": [f"chain-{number % 4}" for number in known],
            "at": [START + timedelta(hours=number % 100) for number in known],
            "known": [START + timedelta(hours=number % 100 + number % 3) for number in known],
        }
    ).write_parquet(folder / "shops.parquet")
    pairs = [(shop, kind) for shop in range(SHOPS) for kind in range(4)]
    pl.DataFrame(
        {
            "shop": [f"shop-{shop}" for shop, _ in pairs],
            "kind": [kind for _, kind in pairs],
            "open": [shop * kind % 19 for shop, kind in pairs],
            "at": [START] * len(pairs),
        }
    ).write_parquet(folder / "kinds.parquet")
