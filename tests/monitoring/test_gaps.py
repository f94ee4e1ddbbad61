"""Missing values are judged as days differ in them, not by a fixed distance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.core.finding import Finding
from everfit.monitoring.data_quality import column_findings
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2025, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PER_DAY, DAYS = 200, 120
FEATURES = ("steady", "fitful", "never")


def day(dice: np.random.Generator, number: int, gaps: dict[str, float]) -> pl.DataFrame:
    asked = [START + number * DAY + place * DAY / PER_DAY for place in range(PER_DAY)]
    columns = {
        name: np.where(dice.random(PER_DAY) < gaps[name], np.nan, dice.normal(size=PER_DAY)) for name in FEATURES
    }
    rows = pl.DataFrame({TIME: asked, KNOWN_AT: asked, LABEL: 0.0, PREDICTION: 0.5, **columns})
    return rows.with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"))


def usual(dice: np.random.Generator) -> dict[str, float]:
    """One sensor fails on a tenth of the rows, another one on some days nearly all day, the third never."""
    return {"steady": 0.1, "fitful": float(dice.beta(0.3, 0.7)), "never": 0.0}


@pytest.fixture(scope="module")
def reference() -> ReferenceProfile:
    dice = np.random.default_rng(1)
    rows = pl.concat([day(dice, number, usual(dice)) for number in range(DAYS)])
    rows = rows.with_columns((pl.col(TIME) >= START + 100 * DAY).alias(HELD_OUT))
    return ReferenceProfile(rows, Scale(task="binary", metric="log_loss", classes=(False, True)), FEATURES, {}, DAY)


def found(reference: ReferenceProfile, rows: pl.DataFrame) -> list[Finding]:
    window = reference.inputs.count(rows)
    return column_findings(reference.inputs, window, "m", since=START, excused=())


def test_a_year_of_usual_days_has_no_finding(reference: ReferenceProfile) -> None:
    dice = np.random.default_rng(2)
    assert not [number for number in range(365) if found(reference, day(dice, number, usual(dice)))]


@pytest.mark.parametrize(
    ("column", "share", "severity"),
    [("steady", 0.3, "warning"), ("steady", 1.0, "critical"), ("never", 0.06, "warning"), ("never", 1.0, "critical")],
)
def test_more_than_on_any_usual_day_is_found(
    reference: ReferenceProfile, column: str, share: float, severity: str
) -> None:
    dice = np.random.default_rng(3)
    [finding] = found(reference, day(dice, 0, {**usual(dice), column: share}))
    assert (finding.kind, finding.subject, finding.severity) == ("missing_values", column, severity)


def test_without_days_to_compare_with_ten_points_count(reference: ReferenceProfile) -> None:
    dice = np.random.default_rng(4)
    short = ReferenceProfile(reference.rows.head(5 * PER_DAY), reference.scale, ("steady",), {}, DAY)
    assert short.inputs.gaps(1) == {}
    assert found(short, day(dice, 0, {**usual(dice), "steady": 0.15})) == []
    assert len(found(short, day(dice, 0, {**usual(dice), "steady": 0.35}))) == 1
