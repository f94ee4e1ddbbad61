"""The tables of the drift benchmark: a reference of 100 k rows and a window of a million, slightly moved.

python -m benchmarks.drift_data FOLDER [SCALE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

REFERENCE = 100_000
WINDOW = 1_000_000
#: How many categories each categorical column has; the last is the one of the field's false alarms.
CATEGORIES = (3, 8, 20, 50, 200)


def rows(count: int, rng: np.random.Generator, moved: float) -> pl.DataFrame:
    """Five columns of each of four shapes, two of each with missing values, and five categorical ones."""
    columns: dict[str, pl.Series] = {}
    for index in range(5):
        shapes = {
            "normal": rng.normal(size=count),
            "lognormal": rng.lognormal(size=count),
            "gamma": rng.gamma(2.0, size=count),
            "inflated": np.where(rng.random(count) < 0.6, 0.0, rng.exponential(size=count)),
        }
        for name, values in shapes.items():
            if index >= 3:
                values[rng.random(count) < 0.05] = np.nan
            columns[f"{name}_{index}"] = pl.Series(values + moved * (index == 0)).fill_nan(None)
    for size in CATEGORIES:
        shares = 1.0 / np.arange(1, size + 1)
        codes = rng.choice(size, size=count, p=shares / shares.sum())
        columns[f"category_{size}"] = pl.Series([f"value {code}" for code in range(size)]).gather(codes)
    return pl.DataFrame(columns)


def generate(folder: Path, scale: float = 1.0) -> None:
    """Write ``reference.parquet`` and ``window.parquet``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows(int(REFERENCE * scale), rng, 0.0).write_parquet(folder / "reference.parquet")
    rows(int(WINDOW * scale), rng, 0.2).write_parquet(folder / "window.parquet")


if __name__ == "__main__":
    generate(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    print("{}")
