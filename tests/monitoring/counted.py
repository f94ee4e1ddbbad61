"""Windows counted from rows, and a small service whose answers are: the running system's parts, on made-up answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from tests.journal.records import LAYOUT, Service, hour

from everfit.artifact.schema import Column, InputSchema
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.journal.prediction_history import PredictionHistory
from everfit.monitoring.cache import CachedVersion
from everfit.monitoring.drift_windows import Counted, join, newest_windows
from everfit.monitoring.drift_windows import count as count_window
from everfit.monitoring.evaluation import CountedBefore, own_rows, versions_by_route
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile
from everfit.monitoring.windows import WINDOW, Length, placed

HOURS = 24 * 6
UNTIL = hour(HOURS)
FEATURES = ("shop.load", "distance", "kind")
SCHEMA = InputSchema(
    model="late", task="binary", request=(), event_time="at", lookups=(), computations=(),
    columns=tuple(Column(name=name, kind="category" if name == "kind" else "number") for name in FEATURES),
    classes=(False, True),
)  # fmt: skip


def count_windows(rows: pl.DataFrame, reference: ReferenceProfile, *, until: datetime) -> tuple[Counted, ...]:
    """The newest complete windows, thin ones joined, oldest first, of rows in monitoring's form."""
    inside = placed(rows, reference.window)
    parts = inside.partition_by(WINDOW, as_dict=True)
    newest = newest_windows(inside, reference.window, until=until)
    return tuple(
        join([count_window(window, parts[(window.number,)], reference) for window in group]) for group in newest
    )


def counted_before(
    rows: pl.DataFrame, references: Mapping[int, ReferenceProfile], *, until: datetime
) -> dict[tuple[int, str], CountedBefore]:
    """The windows of every version with a reference."""
    return {
        (number, route): CountedBefore(
            windows=count_windows(own_rows(rows, number, route), references[number], until=until), judged={}
        )
        for number, route in versions_by_route(rows)
        if number in references
    }


def version(window: Length) -> CachedVersion:
    """A version that learnt from four hundred rows."""
    dice = np.random.default_rng(1)
    asked = [hour(-number) for number in range(400, 0, -1)]
    rows = pl.DataFrame(
        {
            TIME: asked,
            KNOWN_AT: asked,
            LABEL: dice.integers(0, 2, 400).astype(float),
            PREDICTION: dice.random(400),
            HELD_OUT: [True] * 400,
            "shop.load": dice.normal(size=400),
            "distance": dice.integers(0, 50, 400),
            "kind": dice.choice(["new", "old"], 400),
        }
    ).with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"))
    scale = Scale(task="binary", metric="log_loss", classes=(False, True))
    return CachedVersion(SCHEMA, ReferenceProfile(rows, scale, FEATURES, {}, window))


def answer(service: Service, dice: np.random.Generator, number: int) -> None:
    """Answer a question, in no order of time, and now and then one that was asked before."""
    asked = float(dice.random() * HOURS)
    load = dice.normal() if dice.random() < 0.9 else None
    service.predict(
        f"order-{number if dice.random() < 0.9 else number // 2}",
        at=asked,
        row=(7, hour(asked), hour(asked).date(), "ok"),
        features=(load, int(dice.integers(0, 60)), str(dice.choice(["new", "a"]))),
        value=float(dice.random()),
        layout=LAYOUT,
    )


def count(
    held: CachedVersion, answers: PredictionHistory, folder: Path, *, until: datetime = UNTIL
) -> tuple[Counted, ...]:
    """What a look does."""
    answers.catch_up()
    made = answers.as_of(until + timedelta(days=1))
    empty = pl.lit(None, pl.String).alias("label"), pl.lit(None, pl.Datetime("us", "UTC")).alias("label_known_at")
    found = held.counted(folder, standard_rows(made.with_columns(*empty), SCHEMA), answers.between, until=until)
    assert found is not None
    return found.windows


if __name__ == "__main__":
    lake, journal, kept, length = map(Path, sys.argv[1:])
    window: Length = int(length.name) if length.name.isdigit() else timedelta(days=1)
    count(version(window), PredictionHistory(lake, journal, "late"), kept)
