"""Inputs are watched at any traffic: thin days are joined, and where nothing can be said a note says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.monitoring.counted import count_windows, counted_before
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.monitoring.evaluation import EvaluationScope, build_report
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import NEW_CLASS
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile
from everfit.monitoring.report.report import MonitorReport
from everfit.monitoring.windows import LEAST_ROWS, Window, joined_where_thin

START = datetime(2026, 1, 1, tzinfo=UTC)
SCALE = Scale(task="binary", metric="log_loss", classes=(False, True))


def days(rows: list[int]) -> list[Window]:
    return [
        Window(number=place, start=START + place * DAY, end=START + (place + 1) * DAY, rows=count, mark=place)
        for place, count in enumerate(rows)
        if count
    ]


@given(st.lists(st.integers(0, 120), max_size=60), st.integers(1, 120))
def test_joined_windows_are_full_and_do_not_depend_on_later_ones(rows: list[int], later: int) -> None:
    groups = joined_where_thin(days(rows))
    assert all(sum(window.rows for window in group) >= LEAST_ROWS for group in groups)
    assert all(sum(window.rows for window in group[:-1]) < LEAST_ROWS for group in groups)
    joined = [window for group in groups for window in group]
    assert joined == days(rows)[: len(joined)]
    assert joined_where_thin(days([*rows, later]))[: len(groups)] == groups


def test_windows_of_two_seasons_are_not_joined() -> None:
    assert joined_where_thin(days([30, *[0] * 120, 30])) == []
    assert [window.number for window in joined_where_thin(days([30, *[0] * 120, 30, 30]))[0]] == [121, 122]


def thin(first: int, last: int, *, per_day: int = 8) -> pl.DataFrame:
    """Some days of a service with few predictions; days differ in level."""
    dice, rows = np.random.default_rng(first), (last - first) * per_day
    asked = [START + first * DAY + number * DAY / per_day for number in range(rows)]
    level = np.repeat(dice.normal(size=last - first) * 0.3, per_day)
    return pl.DataFrame(
        {"id": [str(number) for number in range(rows)], TIME: asked, RECORDED_AT: asked, KNOWN_AT: asked,
         LABEL: (dice.random(rows) < 0.3).astype(float), PREDICTION: dice.random(rows), VERSION: 1, ROUTE: "champion",
         NEW_CLASS: None, "load": dice.normal(size=rows) + level}
    ).with_columns(
        pl.col(TIME, RECORDED_AT, KNOWN_AT).dt.cast_time_unit("us"), pl.col(NEW_CLASS).cast(pl.String)
    )  # fmt: skip


def seen(rows: pl.DataFrame, *, features: tuple[str, ...] = ("load",), known: bool = True) -> MonitorReport:
    learnt = thin(0, 120).with_columns((pl.col(TIME) >= START + 100 * DAY).alias(HELD_OUT))
    references = {1: ReferenceProfile(learnt, SCALE, features, {}, DAY)} if known else {}
    until = rows[TIME][-1] + DAY / 8
    scope = EvaluationScope(
        model="late", champion=1, references=references, scale=SCALE, watches=(ef.Drift(),),
        counted=counted_before(rows, references, until=until),
    )  # fmt: skip
    return build_report(rows, scope, since=until - 90 * DAY, as_of=until)


def test_a_service_with_eight_predictions_a_day_is_watched() -> None:
    calm = thin(120, 180)
    report = seen(calm)
    assert report.findings == ()
    assert [window.rows for window in report.versions[0].drift] == [56] * 8
    assert "windows of several days, the newest of 7d, since a window needs 50" in report.notes[0]
    broken = calm.with_columns(pl.when(pl.col(TIME) < START + 160 * DAY).then("load").alias("load"))
    assert [(each.kind, each.subject) for each in seen(broken).findings] == [("missing_values", "load")]
    moved = pl.when(pl.col(TIME) < START + 150 * DAY).then("load").otherwise(pl.col("load") + 3.0).alias("load")
    assert {each.kind for each in seen(calm.with_columns(moved)).findings} == {"drift"}


@pytest.mark.parametrize(
    ("rows", "known", "note"),
    [
        (thin(120, 124), True, "not watched yet: no window is complete that has 50 of its 32 predictions."),
        (thin(120, 180), False, "keeps no profile of its training rows"),
    ],
)
def test_where_nothing_can_be_said_a_note_says_so(rows: pl.DataFrame, known: bool, note: str) -> None:
    report = seen(rows, known=known)
    assert report.findings == ()
    assert note in report.notes[0]


def test_a_joined_window_is_judged_as_so_many_days_differ() -> None:
    learnt = thin(0, 120).with_columns((pl.col(TIME) >= START + 100 * DAY).alias(HELD_OUT))
    reference = ReferenceProfile(learnt, SCALE, ("load",), {}, DAY)
    alone, week = reference.inputs.dispersions(), reference.inputs.dispersions(7)
    assert alone is not None
    assert week is not None
    assert (alone["load"].blocks, week["load"].blocks) == (118, 16)
    assert reference.inputs.dispersions(30) == reference.inputs.dispersions(15)
    assert len(count_windows(thin(120, 180), reference, until=START + timedelta(days=200))) == 8
