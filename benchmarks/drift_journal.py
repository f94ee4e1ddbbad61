"""What watching costs where rows are shipped, and a report from sketches.

python -m benchmarks.drift_journal FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from everfit.measures.layout import SketchLayout
from everfit.measures.sketch import Column, Sketch
from everfit.monitoring.drift import drift
from everfit.monitoring.reference import Watched

BATCH = 256
FEATURES = 20


def main() -> None:
    """Print microseconds a row, and milliseconds a report."""
    folder = Path(sys.argv[1])
    reference, window = (pl.read_parquet(folder / f"{name}.parquet") for name in ("reference", "window"))
    watched = Watched(reference, reference.columns, window=timedelta(days=1))
    counted = watched.count(window.head(100_000))
    layout = SketchLayout({name: watched.layout.columns[name] for name in watched.layout.numeric[:FEATURES]})
    report = {
        "row_us": _row_us(layout, window),
        "report_ms": 1e3 * _best(lambda: drift(watched.sketch, counted), times=30),
        "sketch_kib": len(counted.to_bytes()) / 1024,
    }
    print(json.dumps(report))


def _row_us(layout: SketchLayout, window: pl.DataFrame) -> float:
    """Of rows that are not in the cache, with the missing values that they have."""
    whole = {name: window[name].fill_null(float("nan")).to_numpy() for name in layout.columns}
    batches: list[Mapping[str, Column]] = [
        {name: np.ascontiguousarray(values[start : start + BATCH]) for name, values in whole.items()}
        for start in range(0, 200 * BATCH, BATCH)
    ]

    def count() -> None:
        sketch = Sketch(layout)
        for batch in batches:
            sketch.add(batch)

    return 1e6 * _best(count, times=10) / (len(batches) * BATCH)


def _best(work: Callable[[], object], *, times: int) -> float:
    """Seconds; the best, since whatever else a machine does only adds time."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
