"""Small frames whose labels follow from their features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import everfit as ef
from everfit.core.evidence import TrainingFrame
from everfit.core.settings import TrainingSettings
from everfit.features.history import build_frame
from everfit.store.reader import Reader

START = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = TrainingSettings(trials=3, bootstrap=100)


def rows(count: int = 600) -> pl.DataFrame:
    """One row every ten minutes, labelled an hour later: binary, three classes, and a number."""
    random = np.random.default_rng(0)
    size, shop = random.gamma(2.0, 2.0, count), random.integers(0, 4, count)
    score = size / 2 + shop - 3 + random.normal(size=count)
    at = [START + timedelta(minutes=10 * number) for number in range(count)]
    return pl.DataFrame(
        {
            "id": range(count),
            "at": at,
            "known": [each + timedelta(hours=1) for each in at],
            "size": size,
            "shop": [f"shop-{each}" for each in shop],
            "late": score > 0,
            "kind": np.where(score > 1, "big", np.where(score > -1, "fair", "small")),
            "minutes": score * 10,
        }
    )


LABELS = {"binary": "late", "multiclass": "kind", "regression": "minutes"}


def make_model(task: Any = "binary", data: pl.DataFrame | None = None, **more: Any) -> ef.Model:
    """A model of the two features, without a trainer."""
    table = rows() if data is None else data
    source = ef.Source("rows", function=lambda: table, timestamp="at")
    return ef.Model(
        "late",
        task=task,
        events=ef.Events(source, id="id"),
        request=["size", "shop"],
        features=["size", "shop"],
        label=ef.Label(LABELS[task], known_at="known"),
        **more,
    )


def frame_of(
    model: ef.Model, at: Sequence[datetime], known: Sequence[datetime], labels: Sequence[Any], *, as_of: datetime
) -> TrainingFrame:
    """Events with their labels as they were known at an instant; the features say nothing."""
    moment = pl.Datetime("us", "UTC")
    table = pl.DataFrame(
        {"id": range(len(at)), "at": at, "known": known, "label": labels, "size": 1.0, "shop": "shop-1"},
        schema_overrides={"at": moment, "known": moment},
    )
    source = ef.Source("rows", function=lambda: table, timestamp="at")
    events = ef.Events(source, id="id")
    label = ef.Label("label", known_at="known")
    known_model = ef.Model(
        "late", task=model.task, events=events, request=model.request, features=model.features, label=label
    )
    return make_frame(known_model, as_of)


def make_frame(model: ef.Model, as_of: datetime = START + timedelta(days=30)) -> TrainingFrame:
    """Its frame."""
    return build_frame(model, Reader(Path(), {}), as_of=as_of)
