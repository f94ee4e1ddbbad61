"""The drift report by NannyML: its univariate drift calculator with its defaults."""

from __future__ import annotations

import os

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml
import pandas as pd

from benchmarks.drift_process import measure


def main(reference: pd.DataFrame, window: pd.DataFrame) -> int:
    """How many columns have drifted in any of the ten chunks that it makes of the window."""
    calculator = nannyml.UnivariateDriftCalculator(column_names=list(reference.columns))
    calculator.fit(reference)
    alerts = calculator.calculate(window).filter(period="analysis").to_df()
    return int(sum(alerts[key].any() for key in alerts.columns if key[-1] == "alert"))


if __name__ == "__main__":
    measure(pd.read_parquet, main)
