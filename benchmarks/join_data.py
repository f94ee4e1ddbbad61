"""The tables of the join benchmark: a year of events, three views of different size, five features each.

python -m benchmarks.join_data FOLDER [SCALE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

#: View name: its key, its rows, how many entities.
VIEWS = {"va": ("a", 10_000_000, 100_000), "vb": ("b", 1_000_000, 10_000), "vc": ("c", 100_000, 1_000)}
LABELS = 1_000_000
START_US = 1_700_000_000_000_000
YEAR_US = 365 * 86_400_000_000


def generate(folder: Path, scale: float = 1.0) -> None:
    """Write ``labels.parquet``, one file per view, and the largest view again with late rows in random order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    def instants(rows: int) -> pl.Series:
        return pl.Series(np.sort(rng.integers(START_US, START_US + YEAR_US, rows))).cast(pl.Datetime("us", "UTC"))

    rows = int(LABELS * scale)
    keys = {key: rng.integers(0, cardinality, rows) for key, _, cardinality in VIEWS.values()}
    pl.DataFrame({"id": np.arange(rows), **keys, "ts": instants(rows)}).write_parquet(folder / "labels.parquet")
    for name, (key, size, cardinality) in VIEWS.items():
        rows = int(size * scale)
        features = {f"{name}_f{index}": rng.normal(size=rows) for index in range(5)}
        view = pl.DataFrame({key: rng.integers(0, cardinality, rows), "ts": instants(rows), **features})
        view.write_parquet(folder / f"{name}.parquet")
        if name == "va":
            late = pl.Series(rng.integers(0, 86_400_000_000, rows)).cast(pl.Duration("us"))
            shuffled = view.with_columns(known=pl.col("ts") + late).sample(fraction=1, shuffle=True, seed=1)
            shuffled.write_parquet(folder / "va_late.parquet")


if __name__ == "__main__":
    generate(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    print("{}")
