"""Windows against the same season a year before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from tests.monitoring.counted import count_windows
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.core.errors import DefinitionError
from everfit.monitoring.drift_windows import DriftWindow, drift_findings, drift_windows, history_note
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2024, 1, 1, tzinfo=UTC)
PER_DAY = 100
SEASON = ef.Drift(against="season")


@cache
def three_years() -> pl.DataFrame:
    """Heat follows the season and nothing else; so does the answer."""
    dice, rows = np.random.default_rng(0), 3 * 365 * PER_DAY
    day = np.arange(rows) / PER_DAY
    heat = 2 * np.sin(2 * np.pi * day / 365) + dice.normal(size=rows)
    asked = [START + number * DAY / PER_DAY for number in range(rows)]
    answer = 1 / (1 + np.exp(-heat))
    return pl.DataFrame(
        {TIME: asked, LABEL: dice.random(rows) < answer, KNOWN_AT: asked, "heat": heat, PREDICTION: answer}
    ).with_columns(pl.col(TIME, KNOWN_AT).dt.cast_time_unit("us"), pl.col(LABEL).cast(pl.Float64))


def between(first: int, last: int) -> pl.DataFrame:
    return three_years().filter(pl.col(TIME).is_between(START + first * DAY, START + last * DAY, closed="left"))


def made_from(rows: pl.DataFrame) -> ReferenceProfile:
    held_out = rows.with_columns((pl.col(TIME) >= rows[TIME][-1] - 60 * DAY).alias(HELD_OUT))
    return ReferenceProfile(
        held_out, Scale(task="binary", metric="log_loss", classes=(False, True)), ("heat",), {}, DAY
    )


def judged(rows: pl.DataFrame, reference: ReferenceProfile, watch: ef.Drift) -> tuple[DriftWindow, ...]:
    counted = count_windows(rows, reference, until=rows[TIME][-1] + timedelta(seconds=1))
    return drift_windows(counted, reference, watch, judged={})


def test_a_season_that_comes_back_is_no_news() -> None:
    found = judged(between(420, 450), made_from(between(0, 365)), SEASON)
    assert not any(each.drifted for each in found)
    assert {each.against for each in found} == {"season"}
    assert history_note(found, SEASON) is None


def test_an_odd_spring_is_news_though_such_days_are_known_of_summer() -> None:
    reference = made_from(between(0, 365))
    cold = between(420, 450).with_columns(pl.col("heat") - 2.0)
    found = judged(cold, reference, SEASON)
    assert all("heat" in each.drifted for each in found)
    assert not any("heat" in each.drifted for each in judged(cold, reference, ef.Drift()))
    [finding] = [each for each in drift_findings(found, [PREDICTION], "ice", excused=[]) if each.subject == "heat"]
    assert "at that time a year before" in finding.sentence


def test_a_version_old_enough_remembers_its_own_year() -> None:
    """What it was made from is half a year of which none is spring."""
    reference = made_from(between(180, 365))
    # As if nobody had asked from June to March.
    rows = pl.concat([between(400, 460), between(790, 800)])
    found = judged(rows, reference, SEASON)[-9:]
    assert {each.against for each in found} == {"season"}
    assert not any(each.drifted for each in found)


def test_where_nobody_remembers_that_season_the_weeks_before_must_do() -> None:
    reference = made_from(between(300, 365))
    found = judged(between(440, 470), reference, SEASON)
    assert [each.against for each in found][-20:] == ["trailing"] * 20
    assert found[0].columns == ()
    note = history_note(found, SEASON)
    assert note is not None
    assert "a year before 2025-03-23" in note
    assert "7 windows from 2025-03-16" in note


def test_other_words_are_refused() -> None:
    with pytest.raises(DefinitionError, match="training, trailing, season"):
        ef.Drift(against="weather")  # type: ignore[arg-type]
