"""The drift report by Everfit, from raw frames: bins from the reference, both counted, all columns compared."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import scipy.special  # noqa: F401 - loaded before the clock starts, as the peers load theirs

from benchmarks.drift_process import measure
from everfit.monitoring.drift import drift
from everfit.monitoring.reference import Watched


def main(reference: pl.DataFrame, window: pl.DataFrame) -> int:
    """How many columns have drifted."""
    watched = Watched(reference, reference.columns, window=timedelta(days=1))
    return sum(found.drifted for found in drift(watched.sketch, watched.count(window)))


if __name__ == "__main__":
    measure(pl.read_parquet, main)
