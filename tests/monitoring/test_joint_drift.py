from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.monitoring.joint_drift import look_together, together_finding
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2026, 3, 1, tzinfo=UTC)
PER_DAY = 300


def days(first: int, count: int, *, together: float, seed: int) -> pl.DataFrame:
    """Two normal columns whatever ``together`` is; days differ, so that any can be told from all others a little."""
    dice, rows = np.random.default_rng(seed), count * PER_DAY
    mood = np.repeat(dice.normal(scale=0.2, size=count), PER_DAY)
    one = mood + dice.normal(size=rows)
    other = mood + together * (one - mood) + np.sqrt(1 - together**2) * dice.normal(size=rows)
    asked = [START + (first + number / PER_DAY) * DAY for number in range(rows)]
    chance = np.full(rows, 0.5)
    return pl.DataFrame(
        {TIME: asked, KNOWN_AT: asked, LABEL: chance.round(), PREDICTION: chance, "one": one, "other": other}
    ).with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"), pl.lit(True).alias(HELD_OUT))


@pytest.fixture(scope="module")
def reference() -> ReferenceProfile:
    scale = Scale(task="binary", metric="log_loss", classes=(False, True))
    return ReferenceProfile(days(0, 30, together=0.0, seed=0), scale, ("one", "other"), {}, DAY)


def test_columns_that_part_are_noticed_where_none_moved_by_itself(reference: ReferenceProfile) -> None:
    start, end = START + 40 * DAY, START + 41 * DAY
    found = look_together(days(40, 1, together=0.95, seed=1), reference, ef.Drift(), start=start, end=end)
    assert found is not None
    assert found.drifted
    assert found.auc > found.usual_auc + 0.1
    said = together_finding(found, (), "late")
    assert said is not None
    assert (said.kind, said.severity, said.since) == ("joint_drift", "warning", start)
    assert together_finding(found, ("one",), "late") is None


@pytest.mark.slow
def test_days_that_differ_as_days_do_are_no_news(reference: ReferenceProfile) -> None:
    for seed in range(1, 9):
        found = look_together(days(40, 1, together=0.0, seed=seed), reference, ef.Drift(), start=START, end=START + DAY)
        assert found is not None
        assert not found.drifted
        assert found.usual_auc > 0.5


def test_too_little_to_learn_from_is_left_aside(reference: ReferenceProfile) -> None:
    window = days(40, 1, together=0.0, seed=1)
    few = replace(reference, rows=reference.rows.head(6 * PER_DAY))
    assert look_together(window, few, ef.Drift(), start=START, end=START + DAY) is None
    assert look_together(window.head(49), reference, ef.Drift(), start=START, end=START + DAY) is None
