"""The join by Everfit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.join_process import TTL_DAYS, VIEWS, features, measure
from everfit.features.join import ViewRows, point_in_time_join


def join(folder: Path) -> pl.DataFrame:
    """Labels with the features of all three views."""
    views = [
        ViewRows(
            name=name,
            rows=pl.scan_parquet(folder / f"{name}.parquet"),
            keys=[key],
            time="ts",
            features=features(name),
            ttl=timedelta(days=TTL_DAYS),
        )
        for name, key in VIEWS.items()
    ]
    return point_in_time_join(pl.read_parquet(folder / "labels.parquet"), views, time="ts")


def write(result: pl.DataFrame, path: Path) -> None:
    """By id, features only."""
    columns = [pl.col(f"{view}.{name}").alias(name) for view in VIEWS for name in features(view)]
    result.sort("id").select("id", *columns).write_parquet(path)


if __name__ == "__main__":
    measure(join, write)
