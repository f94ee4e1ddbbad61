"""Fill a project's lake, or measure monitoring on it.

python -m benchmarks.growth_child fill|measure FOLDER ROWS
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.loop_project import MODEL, sent
from everfit.artifact.package import open_package
from everfit.core.clock import to_us
from everfit.journal.logs import OUTCOME
from everfit.journal.prediction_rows import BASE, prediction_rows
from everfit.journal.ship import ship
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.loop.monitoring_run import monitor, watch
from everfit.store.journal_records import OUTCOMES, PREDICTIONS, Outcome, Outcomes, PredictionLayout, Predictions
from everfit.store.lake import PLACE, SEGMENT, SegmentRows, append
from everfit.store.record_log import PredictionLog, RecordLog
from everfit.system import System
from everfit.wiring import open_system

_PART = 1_000_000
_NEW, _PASSES = 10_000, 5
_LIFE = timedelta(days=365)
_DELAY = timedelta(minutes=40)
_BATCH = 100


@dataclass(frozen=True)
class Champion:
    """The version whose predictions they are."""

    layout: PredictionLayout

    @classmethod
    def of(cls, system: System) -> Champion:
        deployed = system.deployment.of(MODEL)
        assert deployed is not None
        package = open_package(system.deployment.folder_of(deployed.champion), trust=system.trust)
        schema = package.schema
        return cls(
            PredictionLayout(
                number=0,
                model=MODEL,
                version=deployed.champion.version,
                digest=deployed.champion.digest,
                task=schema.task,
                request=tuple((field.name, field.type) for field in schema.request),
                features=(),
                classes=schema.classes,
                event_time=schema.event_time,
            )
        )


def predicted(rows: int, *, seed: int) -> pl.DataFrame:
    """Distances, what the version says about them, and labels that agree with it."""
    made = sent(rows, seed=seed)
    return made.with_columns(prediction=1 / (1 + (4 - pl.col("distance_km")).clip(-20, 20).exp()))


def parts_of(rows: int) -> Iterator[tuple[int, int]]:
    """Begin and size of each part."""
    return ((begin, min(_PART, rows - begin)) for begin in range(0, rows, _PART))


def fill(system: System, rows: int) -> None:
    """Write predictions of the past year and their outcomes into the lake."""
    layout = Champion.of(system).layout
    # An empty record tells the table's name.
    example = Predictions(
        layout=0, route="champion", recorded_us=0, latency_us=0, ids=[], rows=[], features=[], values=[]
    )
    [empty] = prediction_rows("none", [layout, example])
    begin_us, step_us = to_us(system.clock.now() - _LIFE - timedelta(hours=2)), int(_LIFE.total_seconds() * 1e6 / rows)
    for begin, size in parts_of(rows):
        made, segment = predicted(size, seed=begin), f"{begin:012}"
        at = pl.lit(pl.Series(begin_us + (begin + np.arange(size)) * step_us, dtype=pl.Int64))
        base: dict[str, pl.Expr] = {
            "id": pl.format("past-{}", pl.int_range(begin, begin + size)),
            "model": pl.lit(MODEL),
            "version": pl.lit(layout.version),
            "digest": pl.lit(layout.digest),
            "route": pl.lit("champion"),
            "row": pl.lit(0),
            "recorded_at": at,
            "event_time": at,
            "latency_us": pl.lit(100),
            SEGMENT: pl.lit(segment),
            PLACE: pl.int_range(size),
        }
        predictions = made.select(
            *(base[name].cast(dtype).alias(name) for name, dtype in BASE.items()),
            "prediction",
            pl.col("distance_km").alias("request.distance_km"),
        )
        known = at + int(_DELAY.total_seconds() * 1e6)
        labels: dict[str, pl.Expr] = {
            "id": pl.lit(predictions["id"]),
            "value": pl.when("late").then(pl.lit("true")).otherwise(pl.lit("false")),
            "known_at": known,
            "recorded_at": known,
            SEGMENT: pl.lit(segment),
            PLACE: pl.int_range(size),
        }
        outcomes = made.select(labels[name].cast(dtype).alias(name) for name, dtype in OUTCOME.items())
        for table, frame in ((empty.table, predictions), (f"{OUTCOMES}/{MODEL}", outcomes)):
            append(system.lake, table, [SegmentRows(segment=segment, table=table, rows=frame)])


def measure(system: System) -> dict[str, float]:
    """Measure passes with new rows, the first pass, a report, and shipping."""
    champion, cache = Champion.of(system), MonitoringCache()
    log, outcomes = PredictionLog(system.journal / PREDICTIONS), RecordLog[Outcomes](system.journal / OUTCOMES)
    log.describe(champion.layout)
    first_s = _timed(lambda: watch(system, MODEL, cache, as_of=system.clock.now()))
    caught_up_s = first_s + _timed(lambda: _catch_up(system, cache))
    passes, shipped = [], []
    for number in range(_PASSES):
        _record(log, outcomes, number, system.clock.now())
        shipped.append(_timed(lambda: ship(system.journal, system.lake)))
        passes.append(_timed(lambda: watch(system, MODEL, cache, as_of=system.clock.now())))
    cache.save(system, system.project.model(MODEL), now=True)
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "first_s": first_s,
        "caught_up_s": caught_up_s,
        "pass_s": sorted(passes)[len(passes) // 2],
        "memory_mib": memory_mib,
        "first_report_s": _timed(lambda: monitor(system, MODEL)),
        "report_s": _timed(lambda: monitor(system, MODEL)),
        "rows_s": 2 * _NEW / sorted(shipped)[len(shipped) // 2],
    }


def _catch_up(system: System, cache: MonitoringCache) -> None:
    """Evaluate until everything was read."""
    while cache.is_behind:
        watch(system, MODEL, cache, as_of=system.clock.now())


def _record(log: PredictionLog, outcomes: RecordLog[Outcomes], number: int, now: datetime) -> None:
    """Record new predictions, an hour old, with their outcomes, and seal the log."""
    made, at_us = predicted(_NEW, seed=-number - 1 + (1 << 31)), to_us(now - timedelta(hours=1))
    for begin in range(0, _NEW, _BATCH):
        part = made[begin : begin + _BATCH]
        ids = [f"new-{number}-{begin + row}" for row in range(_BATCH)]
        rows = [(value,) for value in part["distance_km"]]
        values = part["prediction"].to_list()
        record = Predictions(
            layout=0,
            route="champion",
            recorded_us=at_us + begin,
            latency_us=100,
            ids=ids,
            rows=rows,
            features=[()] * _BATCH,
            values=values,
        )
        log.append(record)
        known_us = at_us + int(_DELAY.total_seconds() * 1e6)
        late = part["late"]
        found = [
            Outcome(id=name, value=str(bool(is_late)).lower(), known_us=known_us)
            for name, is_late in zip(ids, late, strict=True)
        ]
        outcomes.append(Outcomes(model=MODEL, recorded_us=known_us, outcomes=found))
    log.close()
    outcomes.close()


def _timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    step, folder, count = sys.argv[1:]
    opened = open_system(Path(folder))
    if step == "fill":
        fill(opened, int(count))
    else:
        print(json.dumps(measure(opened)))
