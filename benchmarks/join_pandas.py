"""The join by pandas: ``merge_asof``, one view after the other."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.join_process import TTL_DAYS, VIEWS, features, measure


def join(folder: Path) -> pd.DataFrame:
    """Labels with the features of all three views. The files are in order of time, so it need not sort them."""
    result = pd.read_parquet(folder / "labels.parquet")
    for name, key in VIEWS.items():
        view = pd.read_parquet(folder / f"{name}.parquet")
        result = pd.merge_asof(result, view, on="ts", by=key, tolerance=pd.Timedelta(days=TTL_DAYS))
    return result


def write(result: pd.DataFrame, path: Path) -> None:
    """By id, features only."""
    columns = ["id", *(column for view in VIEWS for column in features(view))]
    result.sort_values("id")[columns].to_parquet(path, index=False)


if __name__ == "__main__":
    measure(join, write)
