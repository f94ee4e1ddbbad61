"""After a change, the validation rows decide whether old rows still teach what is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tests.training.world import LABELS, QUICK, START, make_frame, make_model, rows

from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import TrainingFrame
from everfit.training.split import split_by_time
from everfit.training.train import train
from everfit.training.window_choice import choose_history

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


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_after_a_false_alarm_all_history_counts(task: str) -> None:
    model, frame = world(task, rows(COUNT))
    chosen = choose_history(model, frame, settings=QUICK)
    assert chosen.data is frame.data
    assert chosen.changed_at is None


def test_without_a_change_nothing_is_fitted() -> None:
    model, frame = world("binary", broken("binary"))
    plain = replace(frame, changed_at=None)
    assert choose_history(make_model(), plain, settings=QUICK) is plain
    assert split_by_time(model, plain, holdout_share=0.2, validation_share=0.2).split.holdout_from < CHANGED


def test_a_change_of_an_hour_ago_is_too_young() -> None:
    model, frame = world("binary", broken("binary"))
    young = replace(frame, changed_at=AS_OF - timedelta(hours=3))
    assert choose_history(model, young, settings=QUICK).data is young.data
