"""New categories come in clusters: a day with one new customer who orders often is no finding, a new feed is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.monitoring.data_quality import column_findings
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PER_DAY = 100


def day(dice: np.random.Generator, number: int, *, new: int) -> pl.DataFrame:
    """A day on which so many rows are of one customer who was never seen before."""
    asked = [START + number * DAY + place * DAY / PER_DAY for place in range(PER_DAY)]
    names = [f"new {number}"] * new + [str(one) for one in dice.integers(0, 30, PER_DAY - new)]
    rows = pl.DataFrame({TIME: asked, KNOWN_AT: asked, LABEL: 0.0, PREDICTION: 0.5, "customer": names})
    return rows.with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"))


def test_clusters_as_large_as_before_are_usual() -> None:
    dice = np.random.default_rng(1)
    rows = pl.concat([day(dice, number, new=20 if number % 10 == 0 else 0) for number in range(120)])
    rows = rows.with_columns((pl.col(TIME) >= START + 100 * DAY).alias(HELD_OUT))
    scale = Scale(task="binary", metric="log_loss", classes=(False, True))
    reference = ReferenceProfile(rows, scale, ("customer",), {}, DAY).inputs
    assert reference.novelty["customer"] == 0.02
    assert reference.largest_novelty(1) == {"customer": 0.2}
    assert reference.largest_novelty(10) == {"customer": 0.02}

    def found(new: int) -> list[str]:
        window = reference.count(day(dice, 300, new=new))
        return [finding.kind for finding in column_findings(reference, window, "m", since=START, excused=())]

    assert found(20) == []
    assert found(40) == ["unseen_categories"]
