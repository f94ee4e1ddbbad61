"""Plays the year 2013: learn once, or refit every month on what was known by then, and score what followed.

Everything goes through Everfit's own frames, trainer and encoding, as in production; only the calendar is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.core.columns import LABEL, TIME
from everfit.core.settings import TrainingSettings
from everfit.features.history import build_frame
from everfit.measures.quality import metric_for
from everfit.store.reader import Reader
from everfit.training.refit import refit
from everfit.training.train import train

FIRST_MONTH = 3
# The last flights of the year land on New Year's Day.
END = datetime(2014, 1, 3, tzinfo=UTC)


def month_starts() -> list[datetime]:
    """The first of March to the first of December, and the end."""
    return [*(datetime(2013, month, 1, tzinfo=UTC) for month in range(FIRST_MONTH, 13)), END]


def walk(project: ef.Project, *, monthly: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score every flight from March to December by a model that learnt before its month.

    Args:
        project: The flights.
        monthly: Refit on the first of every month; else learn once, on the first of March.

    Returns:
        Whether each flight was late, 0 or 1, and its predicted chance; both of shape ``(flights,)``.
    """
    parts = list(_months(project, monthly=monthly))
    return np.concatenate([truth for truth, _ in parts]), np.concatenate([chance for _, chance in parts])


def _months(project: ef.Project, *, monthly: bool) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    model, reader = project.model("late_arrival"), Reader(project.root, project.settings.paths)
    settings = TrainingSettings(trials=0, bootstrap=100)
    year = build_frame(model, reader, as_of=END)
    starts = month_starts()
    fitted = None
    for start, end in pairwise(starts):
        if fitted is None or monthly:
            known = build_frame(model, reader, as_of=start)
            fitted = refit(model, known, train(model, known, settings=settings))
        rows = year.data.filter(pl.col(TIME) >= start, pl.col(TIME) < end, pl.col(LABEL).is_not_null())
        matrix = encode_frame(fitted.schema, rows)
        yield rows[LABEL].cast(pl.Float64).to_numpy(), fitted.predict(matrix)


if __name__ == "__main__":
    flights = ef.load_project(Path(__file__).parent)
    for monthly in (False, True):
        area = metric_for("roc_auc", "binary").compute(*walk(flights, monthly=monthly))
        print(f"{'refitted monthly' if monthly else 'learnt once':<18} ROC AUC {area:.3f}")
