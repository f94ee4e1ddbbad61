"""``ef.Drift()`` orders a training by the estimated drop before any label comes: the real pass and the real policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from msgspec import structs
from tests.journal.records import START, Service

import everfit as ef
from everfit.journal.ship import ship
from everfit.loop.loop import ModelLoop
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.loop.monitoring_run import watch
from everfit.monitoring.estimate import Estimator
from everfit.store.journal_records import PredictionLayout
from everfit.system import System
from everfit.wiring import open_system

FIRST = datetime(2026, 1, 25, tzinfo=UTC)
NOW = FIRST + timedelta(days=1, hours=1)


def serve(system: System, *, distance: float, chance: float) -> None:
    """Record a day of predictions by the champion, for events whose labels have not come."""
    deployed = system.deployment.of("late")
    assert deployed is not None
    layout = PredictionLayout(
        number=0,
        model="late",
        version=deployed.champion.version,
        digest=deployed.champion.digest,
        task="binary",
        request=(("shop", "string"), ("distance_km", "number"), ("ordered_at", "instant")),
        features=("shop_record.late", "shop", "distance_km"),
        classes=(False, True),
        event_time="ordered_at",
    )
    dice, service = np.random.default_rng(0), Service(system.journal)
    for number in range(300):
        asked = FIRST + timedelta(minutes=4 * number)
        shop, way = f"shop-{dice.integers(0, 8)}", float(dice.gamma(2.0, 2.0)) + distance
        service.predict(
            f"new-{number}",
            at=(asked - START) / timedelta(hours=1),
            layout=layout,
            row=(shop, way, asked),
            features=(0.5, shop, way),
            value=chance + float(dice.normal(0, 0.02)),
        )
    service.stop()
    ship(system.journal, system.lake)


def attend(system: System) -> ModelLoop:
    system.project.model("late").retrain_when(ef.Drift(), least_labels=0, cooldown="1m")
    loop = ModelLoop(system, "late", cast(Any, None))
    assert loop.round(cast(Any, None), NOW, "", decides=True)  # no rollout: there is no workflow to start
    return loop


def test_drift_orders_by_the_estimate_before_labels_come(own: Path) -> None:
    system = open_system(own)
    before = len(system.orders.of("late"))
    serve(system, distance=6.0, chance=0.5)
    loop = attend(system)
    assert len(system.orders.of("late")) == before + 1, loop.says
    order = system.orders.of("late")[-1].order
    assert "its log_loss is expected to be worse by 0." in order.reason
    assert order.numbers["expected_worse_by"] >= order.numbers["expected_worse_by_at_least"] > 0


def test_drift_that_is_not_estimated_to_matter_orders_nothing(own: Path) -> None:
    system = open_system(own)
    before = len(system.orders.of("late"))
    serve(system, distance=6.0, chance=0.02)
    loop = attend(system)
    assert len(system.orders.of("late")) == before
    assert "not shown to matter" in loop.says


def test_the_estimate_is_computed_once_for_each_window(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, cache, computed = open_system(own), MonitoringCache(), []
    serve(system, distance=6.0, chance=0.5)
    estimate = Estimator.estimate

    def counted(self: Estimator, *given: Any, **more: Any) -> Any:
        computed.append(more)
        return estimate(self, *given, **more)

    monkeypatch.setattr(Estimator, "estimate", counted)
    first = watch(system, "late", cache, as_of=NOW)
    again = watch(system, "late", cache, as_of=NOW + timedelta(minutes=1))
    assert len(computed) == 1
    assert first.estimated_drop is not None
    assert first.estimated_drop == again.estimated_drop
    assert structs.asdict(first.estimated_drop)["metric"] == "log_loss"
