"""Windows are compared at several origins; after a change, so are the rows since then."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec import structs
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from tests.training.world import LABELS, QUICK, START, make_frame, make_model, rows

import everfit as ef
from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import TrainingFrame
from everfit.training import window_choice
from everfit.training.split import split_by_time
from everfit.training.train import train
from everfit.training.window_choice import MOST_ORIGINS, choose_history

COUNT = 6_000
CHANGED = START + timedelta(minutes=10 * (COUNT - 600))
AS_OF = START + timedelta(minutes=10 * COUNT, hours=2)


def broken(task: str) -> pl.DataFrame:
    """Six hundred rows before the end the labels are other ones: turned round, dealt in a circle, or shifted."""
    name = LABELS[task]
    other: pl.Expr = {
        "binary": ~pl.col(name),
        "multiclass": pl.col(name).replace({"big": "fair", "fair": "small", "small": "big"}),
        "regression": 40 - pl.col(name),
    }[task]
    return rows(COUNT).with_columns(pl.when(pl.col("at") >= CHANGED).then(other).otherwise(name).alias(name))


def world(task: str, data: pl.DataFrame) -> tuple[Any, TrainingFrame]:
    model = make_model(task, data)
    estimator = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier

    @model.trainer()
    def fit(X: Any, y: Any, seed: int) -> Any:
        return estimator(max_iter=30, random_state=seed).fit(X, y)

    return model, replace(make_frame(model, AS_OF), changed_at=CHANGED)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_after_a_break_the_former_world_is_forgotten(task: str) -> None:
    model, frame = world(task, broken(task))
    chosen = choose_history(model, frame, settings=QUICK)
    assert chosen.data[TIME][0] == CHANGED
    assert chosen.manifest.start == CHANGED
    assert chosen.manifest.rows == chosen.data.height == 600
    assert chosen.manifest.labelled == 600 - chosen.data[LABEL].null_count()
    # As it is built again from what the manifest records.
    again = make_frame(model, AS_OF).data.filter(pl.col(TIME) >= CHANGED)
    assert again.equals(chosen.data)
    assert train(model, chosen, settings=QUICK).split.holdout_rows >= 100


def test_of_the_rows_since_a_change_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_choice, "MOST_ROWS", 600)
    model, frame = world("binary", broken("binary"))
    chosen = choose_history(model, frame, settings=QUICK)
    assert chosen.data[TIME][0] == CHANGED
    assert "one in" not in chosen.manifest.history_choice


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_after_a_false_alarm_all_history_counts(task: str) -> None:
    model, frame = world(task, rows(COUNT))
    chosen = choose_history(model, frame, settings=QUICK)
    assert chosen.data is frame.data
    assert chosen.changed_at is None


def test_without_a_change_nothing_is_fitted() -> None:
    model, frame = world("binary", broken("binary"))
    plain = replace(frame, changed_at=None)
    assert choose_history(make_model(history="all"), plain, settings=QUICK) is plain
    assert split_by_time(model, plain, holdout_share=0.2, validation_share=0.2).split.holdout_from < CHANGED


def test_a_change_of_an_hour_ago_is_too_young() -> None:
    model, frame = world("binary", broken("binary"))
    young = replace(frame, changed_at=AS_OF - timedelta(hours=3))
    assert choose_history(model, young, settings=QUICK).data is young.data


DAYS, A_DAY = 160, 12
WINDOWS = ef.Choice("all", "60d", "20d")


class Line:
    """Least squares."""

    def __init__(self, X: Any, y: Any, weight: Any = None) -> None:
        scale = np.sqrt(np.ones(len(y)) if weight is None else weight)
        self.slopes = np.linalg.lstsq(_with_one(X) * scale[:, None], y * scale, rcond=None)[0]

    def predict(self, X: Any) -> Any:
        return _with_one(X) @ self.slopes


def _with_one(X: Any) -> Any:
    return np.column_stack([X, np.ones(len(X))])


def series(seed: int, *, turns: float = 0.0) -> pl.DataFrame:
    """Rows of many days with an autocorrelated level, and slopes that turn by so many radians in all."""
    random, count = np.random.default_rng(seed), DAYS * A_DAY
    a, b = random.normal(size=(2, count))
    level = np.zeros(DAYS)
    for day in range(1, DAYS):
        level[day] = 0.5 * level[day - 1] + random.normal()
    angle = np.linspace(0.0, turns, count)
    value = np.cos(angle) * a + np.sin(angle) * b + np.repeat(level, A_DAY) / 3 + random.normal(size=count) / 2
    at = [START + timedelta(hours=24 / A_DAY * number) for number in range(count)]
    known = [instant + timedelta(hours=1) for instant in at]
    return pl.DataFrame({"id": range(count), "at": at, "known": known, "a": a, "b": b, "value": value})


def linear(data: pl.DataFrame, history: Any = WINDOWS, **more: Any) -> tuple[ef.Model, TrainingFrame, list[int]]:
    """A model, its frame, and the sizes of the fits that are made."""
    source, sizes = ef.Source("rows", function=lambda: data, timestamp="at"), list[int]()
    label = ef.Label("value", known_at="known")
    fields = ["a", "b"]
    model = ef.Model(
        "line",
        task="regression",
        events=ef.Events(source, id="id"),
        request=fields,
        features=fields,
        label=label,
        history=history,
        **more,
    )

    @model.trainer()
    def fit(X: Any, y: Any, weight: Any) -> Any:
        sizes.append(len(y))
        return Line(X, y, weight)

    return model, make_frame(model, START + timedelta(days=DAYS)), sizes


def chosen_days(seed: int, **world: Any) -> int:
    model, frame, _ = linear(series(seed, **world))
    chosen = choose_history(model, frame, settings=QUICK)
    return (chosen.manifest.end - chosen.manifest.start).days


def test_a_stationary_series_keeps_all_history() -> None:
    found = [chosen_days(seed) for seed in range(30)]
    assert found.count(DAYS) >= 28


def test_a_world_that_turns_takes_a_short_window() -> None:
    found = [chosen_days(seed, turns=2 * np.pi) for seed in range(10)]
    assert set(found) <= {60, 20}
    assert found.count(20) >= 8


@pytest.mark.parametrize("turns", [0.0, 2 * np.pi])
def test_nothing_from_the_hold_out_on_is_seen(turns: float) -> None:
    data = series(1, turns=turns)
    model, frame, _ = linear(data)
    split = split_by_time(model, frame, holdout_share=0.2, validation_share=0.2).split
    later = pl.col("at") >= split.holdout_from
    dealt = data.with_columns(
        pl.when(later).then(pl.col("value").shuffle(seed=3) + 100).otherwise("value").alias("value")
    )
    other, dealt_frame, _ = linear(dealt)
    first, second = (choose_history(*pair, settings=QUICK).manifest for pair in ((model, frame), (other, dealt_frame)))
    assert (second.start, second.history_choice) == (first.start, first.history_choice)


def test_labels_count_from_when_they_are_known() -> None:
    delay = timedelta(days=5)
    data = series(1, turns=2 * np.pi).with_columns(known=pl.col("at") + delay)
    model, frame, sizes = linear(data)
    chosen = choose_history(model, frame, settings=QUICK)
    # At no origin are there 200 known labels of the last 20 days.
    assert (chosen.manifest.end - chosen.manifest.start).days == 60
    assert set(sizes) & {(60 - delay.days) * A_DAY, (60 - delay.days) * A_DAY + 1}


def test_the_number_of_fits_is_bounded() -> None:
    model, frame, sizes = linear(series(2))
    sentence = choose_history(model, frame, settings=QUICK).manifest.history_choice
    assert 4 <= len(sizes) <= MOST_ORIGINS * len(model.histories)
    assert f"{len(sizes)} fits" in sentence


def test_of_a_large_frame_a_sample_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_choice, "MOST_ROWS", 1_000)
    model, frame, sizes = linear(series(2, turns=2 * np.pi))
    chosen = choose_history(model, frame, settings=QUICK)
    assert max(sizes) <= 1_000
    assert "rows, one in 2 after" in chosen.manifest.history_choice
    assert chosen.manifest.start > frame.manifest.start


def test_the_choice_is_said_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model, frame, _ = linear(series(3, turns=2 * np.pi))
    sentence = choose_history(model, frame, settings=QUICK).manifest.history_choice
    assert re.fullmatch(
        r"It learns from the last 20d: the absolute error of what the last 20d taught minus that of the last 60d is "
        r"-0\.\d+, between -0\.\d+ and -0\.\d+ by 1\d time blocks \([\d,]+ rows after \d origins, \d+ fits\)\.",
        sentence,
    ), sentence
    assert sentence in caplog.text
    model, frame, _ = linear(series(3))
    sentence = choose_history(model, frame, settings=QUICK).manifest.history_choice
    assert sentence.startswith("It learns from all history: the absolute error of what the last 60d "), sentence


def test_numbers_of_rows_are_windows_too() -> None:
    model, frame, _ = linear(series(4, turns=2 * np.pi), ef.Choice("all", 600, 240))
    chosen = choose_history(model, frame, settings=QUICK)
    assert chosen.manifest.labelled in {600, 240}
    assert chosen.manifest.history == "all history, the newest 600 labelled rows or the newest 240 labelled rows"


def test_a_half_life_counts_in_every_fit() -> None:
    """Where old rows weigh little, they do little harm."""
    found = []
    for more in ({}, {"half_life": "4d"}):
        model, frame, _ = linear(series(5, turns=2 * np.pi), ef.Choice("all", "20d"), **more)
        sentence = choose_history(model, frame, settings=QUICK).manifest.history_choice
        found.append(float(re.search(r"is -([\d.]+),", sentence)[1]))  # type: ignore[index]
    assert found[1] < found[0] / 5


def test_a_short_history_is_kept_whole() -> None:
    data = series(6, turns=2 * np.pi)
    model, _, _ = linear(data)
    young = make_frame(model, START + timedelta(days=30))
    chosen = choose_history(model, young, settings=QUICK)
    assert chosen.manifest.start == young.manifest.start
    assert chosen.manifest.history_choice == ""


def test_what_takes_too_long_is_not_judged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model, frame, sizes = linear(series(3, turns=2 * np.pi))
    hurried = structs.replace(QUICK, seconds=1e-9)
    chosen = choose_history(model, frame, settings=hurried)
    assert (chosen.manifest.start, sizes) == (frame.manifest.start, [])
    assert "[training] seconds are over before the last 60d was judged" in caplog.text


def test_a_window_that_lacks_a_class_is_not_taken() -> None:
    data = series(7, turns=2 * np.pi)
    old = pl.col("at") < START + timedelta(days=40)
    kind = (
        pl.when(old & (pl.col("b") > 1))
        .then(pl.lit("rare"))
        .otherwise(pl.when(pl.col("value") > 0).then(pl.lit("up")).otherwise(pl.lit("down")))
    )
    source = ef.Source("rows", function=lambda: data.with_columns(kind=kind), timestamp="at")
    model = ef.Model(
        "line",
        task="multiclass",
        events=ef.Events(source, id="id"),
        request=["a", "b"],
        features=["a", "b"],
        label=ef.Label("kind", known_at="known"),
        history=WINDOWS,
    )

    @model.trainer()
    def fit(X: Any, y: Any) -> Any:
        return LogisticRegression().fit(X, y)

    frame = make_frame(model, START + timedelta(days=DAYS))
    assert choose_history(model, frame, settings=QUICK).manifest.start == frame.manifest.start
