"""The drift report by Evidently, with its defaults."""

from __future__ import annotations

import os

os.environ["DO_NOT_TRACK"] = "1"

from typing import Any

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

from benchmarks.drift_process import measure


def main(reference: pd.DataFrame, window: pd.DataFrame) -> int:
    """How many columns have drifted."""
    snapshot = Report([DataDriftPreset()]).run(window, reference)
    found: Any = snapshot.dict()
    return int(found["metrics"][0]["value"]["count"])


if __name__ == "__main__":
    measure(pd.read_parquet, main)
