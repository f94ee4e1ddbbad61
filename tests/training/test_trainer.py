from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lightgbm import Dataset, LGBMClassifier
from lightgbm import train as lightgbm_train
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tests.training.world import make_frame, make_model

import everfit as ef
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.core.errors import DefinitionError, TrainingError
from everfit.training.labels import learnable
from everfit.training.trainer import encode_rows, fit


def fitted_by(trainer: Callable[..., Any], task: Any = "binary", params: dict[str, Any] | None = None) -> Fitted:
    model = make_model(task)
    space: dict[str, Any] = {name: ef.Int(1, 1000) for name in params or {}}
    model.trainer(**space)(trainer)
    frame = make_frame(model)
    schema = infer_schema(model, frame, frame.data)
    return fit(
        model, schema, encode_rows(schema, learnable(model, frame, by=frame.manifest.as_of)), params or {}, seed=7
    )


def test_a_trainer_gets_what_it_asks_for_by_name() -> None:
    asked: dict[str, Any] = {}

    def train(X: Any, y: Any, weight: Any, categorical: Any, names: Any, seed: Any, trial: Any, depth: int) -> Any:
        asked.update(locals())
        return HistGradientBoostingClassifier(max_iter=5).fit(X, y)

    fitted_by(train, params={"depth": 3})
    assert asked["names"] == ["size", "shop"]
    assert asked["categorical"] == [1]
    assert (asked["seed"], asked["trial"], asked["depth"]) == (7, None, 3)
    assert asked["X"].dtype == np.float64
    assert set(np.unique(asked["y"])) == {0, 1}
    assert (asked["weight"] == 1).all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_predictions_have_one_shape_for_each_task(task: Any) -> None:
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    fitted = fitted_by(lambda X, y: kind(max_iter=5).fit(X, y), task)
    answer = fitted.predict(np.array([[1.0, 0.0], [np.nan, np.nan]]))
    assert answer.shape == ((2, 3) if task == "multiclass" else (2,))
    if task == "multiclass":
        assert fitted.schema.classes == ("big", "fair", "small")
        assert np.allclose(answer.sum(axis=1), 1)


def test_a_bare_booster_answers_the_positive_class() -> None:
    def train(X: Any, y: Any) -> Any:
        return lightgbm_train({"objective": "binary", "verbosity": -1, "num_threads": 1}, Dataset(X, y), 5)

    assert fitted_by(train).predict(np.array([[1.0, 0.0]])).shape == (1,)


def test_classes_that_the_estimator_orders_otherwise_are_put_in_order() -> None:
    class Reversed:
        classes_ = np.array([1, 0])

        def predict_proba(self, X: Any) -> Any:
            return np.tile([0.9, 0.1], (len(X), 1))

    assert fitted_by(lambda X, y: Reversed()).predict(np.zeros((1, 2)))[0] == 0.9


class Answers:
    def __init__(self, value: Any) -> None:
        self.value = value

    def predict_proba(self, X: Any) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (lambda X, y: None, "must return something with predict_proba, but got 'NoneType'"),
        (lambda X, y: Answers(np.full((64, 2), np.nan)), "must be finite"),
        (lambda X, y: Answers(np.full((64, 2), 3.0)), "between 0 and 1"),
        (lambda X, y: Answers(np.zeros((3, 2))), "must have the shape"),
        (lambda X, y: Answers("nonsense"), "must predict the rows it was fitted on"),
        (lambda X, y: 1 / 0, "must not raise, but raised ZeroDivisionError"),
    ],
)
def test_nonsense_is_found_where_it_is_made(trainer: Callable[..., Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        fitted_by(trainer)


def test_an_argument_that_nobody_gives_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"but got 'moon'.*Available are: X, y, weight"):
        fitted_by(lambda X, y, moon: None)


def test_global_generators_are_seeded() -> None:
    drawn: list[float] = []

    def train(X: Any, y: Any) -> Any:
        drawn.append(np.random.random())
        return LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1).fit(X, y)

    fitted_by(train)
    fitted_by(train)
    assert drawn[0] == drawn[1]
