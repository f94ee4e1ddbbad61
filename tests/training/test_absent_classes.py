"""Training where a class is absent from the rows that are learnt from, from the validation, or from the hold-out."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.tree import DecisionTreeClassifier
from tests.training.world import QUICK, make_frame, make_model, rows

import everfit as ef
from everfit.artifact.infer import infer_schema
from everfit.core.errors import DefinitionError, LabelError
from everfit.training.evidence import newest_of_every_class
from everfit.training.labels import learnable
from everfit.training.profile import profile_rows
from everfit.training.refit import refit
from everfit.training.train import train

_COUNT = 600
_PARTS = {
    "training": (0, 300),
    "validation": (400, 480),
    "hold-out": (500, _COUNT),
    "validation and hold-out": (400, _COUNT),
}


def world(task: Any, column: pl.Expr, **more: Any) -> tuple[ef.Model, Any]:
    data = rows(_COUNT).with_columns(column)
    model = make_model(task, data, **more)

    @model.trainer(max_depth=ef.Int(2, 4))
    def fit(X: Any, y: Any, X_valid: Any, y_valid: Any, weight: Any, max_depth: int) -> Any:
        assert y.min() >= 0
        assert y_valid is None or (len(y_valid) == len(X_valid) and y_valid.min() >= 0)
        return DecisionTreeClassifier(max_depth=max_depth, random_state=0).fit(X, y, sample_weight=weight)

    return model, make_frame(model)


def only_in(part: tuple[int, int]) -> pl.Expr:
    inside = pl.int_range(pl.len()).is_between(*part, closed="left") & (pl.int_range(pl.len()) % 3 == 0)
    return pl.when(inside).then(pl.lit("odd")).otherwise("kind").alias("kind")


@pytest.mark.parametrize("labels", ["known", "weighted"])
@pytest.mark.parametrize("metric", ["log_loss", "macro_auc", "macro_f1", "accuracy"])
@pytest.mark.parametrize("part", _PARTS)
def test_a_class_may_be_in_one_part_only(part: str, metric: str, labels: Any) -> None:
    model, frame = world("multiclass", only_in(_PARTS[part]), metric=metric, labels=labels)
    candidate = train(model, frame, settings=QUICK)
    assert all(np.isfinite(score.value) for score in candidate.scores)
    known = ("big", "fair", "small") if part == "hold-out" else ("big", "fair", "odd", "small")
    assert candidate.fitted.schema.classes == known
    assert refit(model, frame, candidate).schema.classes == ("big", "fair", "odd", "small")
    profile = profile_rows(frame, candidate)
    assert ("prediction.odd" in profile.columns) == ("odd" in known)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "brier"])
def test_a_validation_without_one_of_two_classes_is_scored_by_log_loss(metric: str) -> None:
    never = pl.col("late") & ~pl.int_range(pl.len()).is_between(370, 485)
    model, frame = world("binary", never, metric=metric)
    candidate = train(model, frame, settings=QUICK)
    assert {trial.state for trial in candidate.trials} == {"complete"}
    assert all((trial.value is None) == (metric != "brier") for trial in candidate.trials)


def test_a_class_that_vanished_is_in_the_rows_that_are_fitted_twice() -> None:
    model, frame = world("multiclass", only_in((0, 100)))
    known = learnable(model, frame, by=frame.manifest.as_of)
    newest = newest_of_every_class(model, known, 200)
    assert set(newest["label"]) == {"big", "fair", "odd", "small"}
    assert newest.height == 220
    assert newest["event_time"].is_sorted()


@pytest.mark.parametrize(
    ("column", "positive", "classes"),
    [
        (pl.col("late"), None, (False, True)),
        (pl.col("late"), True, (False, True)),
        (pl.col("late"), False, (True, False)),
        (pl.col("late").cast(pl.Int8), None, (0, 1)),
        (pl.col("late").cast(pl.Float32), None, (0, 1)),
        (pl.col("late").cast(pl.Float64), 0.0, (1, 0)),
        (pl.col("late").cast(pl.Int8).cast(pl.Decimal(4, 1)), 1, (0, 1)),
        (pl.col("late").cast(pl.Int64) + 4, 5, (4, 5)),
        (pl.col("late").cast(pl.Float64) - 1, -1.0, (0, -1)),
        (pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")), "yes", ("no", "yes")),
        (pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")).cast(pl.Categorical), "no", ("yes", "no")),
        (pl.when("late").then(pl.lit("y")).otherwise(pl.lit("n")).cast(pl.Enum(["y", "n"])), "y", ("n", "y")),
    ],
)  # fmt: skip
def test_a_binary_label_may_be_any_two_values(column: pl.Expr, positive: Any, classes: Any) -> None:
    data = rows(60).with_columns(column.alias("late"))
    model = make_model("binary", data)
    model.label = ef.Label("late", known_at="known", positive=positive)
    frame = make_frame(model)
    found = infer_schema(model, frame, frame.data).classes
    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]


@pytest.mark.parametrize(
    ("column", "positive", "said"),
    [
        (pl.lit("no"), "yes", None),
        (pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")), None, "positive='no'"),
        (pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")), "Yes", "The values are 'no' and 'yes'"),
        (pl.when("late").then(2).otherwise(1), None, "positive=2"),
        (pl.int_range(pl.len()) % 4, None, "must be one of two values"),
        (pl.col("minutes"), None, "a boolean, 0/1"),
        (pl.col("at").dt.date(), None, "a label must be boolean, integer, number, decimal or text"),
    ],
)  # fmt: skip
def test_what_is_not_two_values_is_one_sentence(column: pl.Expr, positive: Any, said: str | None) -> None:
    data = rows(60).with_columns(column.alias("late"))
    model = make_model("binary", data)
    model.label = ef.Label("late", known_at="known", positive=positive)
    if said is None:
        make_frame(model)
        return
    with pytest.raises((LabelError, DefinitionError)) as caught:
        make_frame(model)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (pl.int_range(pl.len()).cast(pl.Float64) % 3, (0, 1, 2)),
        (pl.col("late"), (False, True)),
        (pl.col("kind").cast(pl.Categorical), ("big", "fair", "small")),
        (pl.when(pl.col("late")).then(float("nan")).otherwise(pl.int_range(pl.len()) % 3), (0, 1, 2)),
    ],
)  # fmt: skip
def test_classes_may_be_stored_as_floats_or_categories(column: pl.Expr, classes: Any) -> None:
    data = rows(60).with_columns(column.alias("kind"))
    model = make_model("multiclass", data)
    frame = make_frame(model)
    assert infer_schema(model, frame, frame.data).classes == classes


def test_only_a_binary_label_has_a_positive_class() -> None:
    source = ef.Source("rows", function=rows, timestamp="at")
    with pytest.raises(DefinitionError, match="only a binary label has a positive class"):
        ef.Model(
            "kind", task="multiclass", events=ef.Events(source, id="id"), request=["size"], features=["size"],
            label=ef.Label("kind", known_at="known", positive="big"),
        )  # fmt: skip
    with pytest.raises(DefinitionError, match="positive must be text, a boolean or a whole number"):
        ef.Label("kind", known_at="known", positive=0.5)
