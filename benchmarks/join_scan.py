"""No join at all: Polars reads the same columns into memory. The floor that a join cannot go below by much."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.join_process import VIEWS, measure


def scan(folder: Path) -> int:
    """How many rows were read."""
    return sum(len(pl.scan_parquet(folder / f"{name}.parquet").collect()) for name in ("labels", *VIEWS))


if __name__ == "__main__":
    measure(scan, lambda result, path: None)
