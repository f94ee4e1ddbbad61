"""The join by Everfit of rows that became known up to a day late, in random order; no peer gets this right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.join_process import TTL_DAYS, features, measure
from everfit.features.join import ViewRows, point_in_time_join


def join(folder: Path) -> pl.DataFrame:
    """Labels with the features of the largest view."""
    view = ViewRows(
        name="va",
        rows=pl.scan_parquet(folder / "va_late.parquet"),
        keys=["a"],
        time="ts",
        created="known",
        features=features("va"),
        ttl=timedelta(days=TTL_DAYS),
    )
    return point_in_time_join(pl.read_parquet(folder / "labels.parquet"), [view], time="ts")


if __name__ == "__main__":
    measure(join, lambda result, path: result.write_parquet(path))
