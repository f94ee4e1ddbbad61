"""Call of the user's trainer, and checks of the estimator that it returns.

``X`` is a float64 matrix, or the data frame of :mod:`everfit.artifact.model_frame`; ``y`` is an array: 0 and 1, the
indices of the classes, or float64. Further arguments are passed by name, if the trainer has them:

| argument | value |
| --- | --- |
| ``weight`` | float64 of shape ``(rows,)``: the weight of each row; 1 without ``half_life`` and weighted labels |
| ``X_valid``, ``y_valid`` | the validation rows while tuning; ``None`` in the last fit |
| ``categorical`` | the columns of categories and text: a list of indices for a matrix, of names for a data frame |
| ``names`` | the columns' names, a list of str |
| ``seed`` | the seed of this training, an int |
| ``trial`` | while tuning, ``report(step, value)`` and ``should_prune()``; otherwise ``None`` |
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.encode import encode_inputs
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.schema import InputSchema
from everfit.core.columns import LABEL
from everfit.core.errors import TrainingError
from everfit.core.user_code import explaining
from everfit.definitions.model import Model
from everfit.definitions.trainer_arguments import chosen_arguments
from everfit.training.inputs import describe_gaps, describe_inputs, with_fills
from everfit.training.labels import WEIGHT


class TrialHandle(Protocol):
    """Handle of the present trial, passed to a trainer as ``trial`` while tuning."""

    def report(self, step: int, value: float) -> None:
        """Report the model's metric on the validation rows after a step, such as a number of boosting rounds."""
        ...

    def should_prune(self) -> bool:
        """Return ``True`` if the trial is much worse than others and should stop: raise :class:`Pruned` then."""
        ...


class Pruned(Exception):  # noqa: N818 - a message to the tuner, not an error
    """A trainer raises this to end a trial that should be pruned."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Encoded rows: ``X`` of shape ``(rows, columns)``, ``y`` and ``weight`` of shape ``(rows,)``."""

    X: Any
    """A float64 matrix or a data frame, as the schema says."""
    y: NDArray[Any]
    weight: NDArray[np.float64]
    raw: pl.DataFrame | None = None
    """The rows before they were encoded; kept where ``X`` is a data frame."""

    def inputs_of(self, fitted: Fitted) -> Any:
        """Return the rows encoded for an estimator that was fitted on these or other rows of the frame."""
        return self.X if self.raw is None else encode_inputs(fitted.schema, self.raw)


def encode_rows(schema: InputSchema, rows: pl.DataFrame) -> Rows:
    """Encode labelled, weighted rows: ``y`` is 0/1 or the class's index as int64, or the value as float64."""
    return Rows(
        X=encode_inputs(schema, rows),
        y=encode_labels(schema, rows[LABEL]),
        weight=rows[WEIGHT].to_numpy(),
        raw=None if schema.frame == "matrix" else rows,
    )


def encode_labels(schema: InputSchema, labels: pl.Series) -> NDArray[Any]:
    """Return labels as numbers: float64 for a regression, else the int64 index among the schema's classes, or -1.

    -1 stands for a class without training rows; it is scored as the worst possible, and never passed to a trainer.
    """
    if schema.task == "regression":
        return labels.cast(pl.Float64).to_numpy()
    places = {value: place for place, value in enumerate(schema.classes)}
    return np.fromiter((places.get(value, -1) for value in labels.to_list()), dtype=np.int64, count=len(labels))


def fit(
    model: Model,
    schema: InputSchema,
    rows: Rows,
    params: Mapping[str, Any],
    *,
    seed: int,
    valid: Rows | None = None,
    trial: TrialHandle | None = None,
) -> Fitted:
    """Call the trainer, with Python's and NumPy's global generators seeded.

    Of the validation rows it gets those of classes with training rows. Raises :class:`DefinitionError` if it has an
    argument that is neither tuned nor available, :class:`TrainingError` if it raises, or returns something that cannot
    predict, and :class:`Pruned` if it ends the trial.
    """
    function = model.learner.function
    valid = None if valid is None else _of_known_classes(schema, valid)
    offered = {
        "X": _own_copy(rows.X, schema),
        "y": rows.y,
        "weight": rows.weight,
        "X_valid": None if valid is None else _own_copy(valid.X, schema),
        "y_valid": None if valid is None else valid.y,
        "categorical": _categorical(schema),
        "names": list(schema.names),
        "seed": seed,
        "trial": trial,
    }
    place = f"model {model.name}, trainer {function.__name__}"
    arguments = chosen_arguments(function, offered, params, place=place)
    random.seed(seed)
    np.random.seed(seed)
    rule, own_model = f"the trainer {function.__name__} must not raise", f"model {model.name}"
    inputs = partial(describe_inputs, rows.X, schema)
    with explaining(rule, TrainingError, place=own_model, remedy=inputs, but=Pruned):
        estimator = function(**arguments)
    predictor = adapt(estimator, schema, place=place)
    _probe(predictor, schema, rows.X[:64], place=place)
    if rows.raw is not None:
        schema = with_fills(schema, rows.raw, predictor.predict)
    return Fitted(estimator=estimator, schema=schema, predict=predictor.predict, arithmetic=predictor.arithmetic)


def _own_copy(inputs: Any, schema: InputSchema) -> Any:
    """Return a data frame that the trainer may change: trials share theirs, and serving uses it unchanged."""
    if schema.frame == "matrix":
        return inputs
    return inputs.clone() if schema.frame == "polars" else inputs.copy()


def _categorical(schema: InputSchema) -> list[int] | list[str]:
    places = schema.categorical
    return list(places) if schema.frame == "matrix" else [schema.names[place] for place in places]


def _of_known_classes(schema: InputSchema, rows: Rows) -> Rows | None:
    """Return the rows with a known class, since estimators take no other label; ``None`` if there are none."""
    if schema.task == "regression":
        return rows
    known = rows.y >= 0
    if known.all():
        return rows
    if not known.any():
        return None
    inputs = rows.X.filter(known) if schema.frame == "polars" else rows.X[known]
    return Rows(X=inputs, y=rows.y[known], weight=rows.weight[known])


def adapt(estimator: Any, schema: InputSchema, *, place: str) -> NativePredictor:
    """Return a predictor with the shape of predictions that :class:`everfit.artifact.fitted_model.Fitted` requires.

    Raises :class:`TrainingError` if it has no method for the task's predictions, or has other classes than the training
    labels.
    """
    classification = schema.task != "regression"
    if classification and _predicts_only_labels(estimator):
        raise _no_probabilities(estimator, schema, place)
    if not any(callable(getattr(estimator, name, None)) for name in ("predict", "predict_proba")[: 1 + classification]):
        rule = f"a trainer must return something with {'predict_proba' if classification else 'predict'}"
        raise TrainingError(rule, value=type(estimator).__name__, place=place)
    known, wanted = getattr(estimator, "classes_", None), list(range(len(schema.classes)))
    if classification and known is not None:
        found = np.asarray(known).tolist()
        if not all(isinstance(label, int | float) for label in found) or sorted(found) != wanted:
            rule = f"the estimator must know the classes {wanted}"
            raise TrainingError(rule, value=found, remedy="Fit it on y unchanged.", place=place)
    return NativePredictor("fitted", estimator, schema)


def _predicts_only_labels(estimator: Any) -> bool:
    """Return ``True`` for a classifier without ``predict_proba``; boosters without one predict probabilities."""
    if callable(getattr(estimator, "predict_proba", None)):
        return False
    from sklearn.base import BaseEstimator, is_classifier

    return hasattr(estimator, "classes_") or (isinstance(estimator, BaseEstimator) and is_classifier(estimator))


def _no_probabilities(estimator: Any, schema: InputSchema, place: str) -> TrainingError:
    kind = type(estimator).__name__
    return TrainingError(
        f"a {schema.task} model must predict probabilities, but {kind} predicts labels and has no predict_proba",
        remedy=f"Return CalibratedClassifierCV({kind}(…)).fit(X, y) of sklearn.calibration, or another estimator.",
        place=place,
    )


def predict_rows(fitted: Fitted, inputs: Any, *, rows: str, model: str) -> NDArray[np.float64]:
    """Predict rows that the estimator was not fitted on; they may lack values that the training rows had.

    ``inputs`` are encoded by its schema; ``rows`` describes them. Raises :class:`TrainingError` if the estimator
    raises, or a prediction is not a finite number.
    """
    rule, place = f"the estimator must predict the {len(inputs)} {rows}", f"model {model}"

    def remedy() -> str:
        return describe_gaps(inputs, fitted.schema) or describe_inputs(inputs, fitted.schema)

    with explaining(rule, TrainingError, place=place, remedy=remedy):
        predicted = fitted.predict(inputs)
    _require_finite(predicted, f"predictions of the {rows}", place)
    return predicted


def _require_finite(predicted: NDArray[np.float64], what: str, place: str) -> None:
    broken = predicted[~np.isfinite(predicted)]
    if len(broken):
        raise TrainingError(f"{what} must be finite numbers", value=float(broken[0]), place=place)


def _probe(predictor: NativePredictor, schema: InputSchema, matrix: Any, *, place: str) -> None:
    """Predict a few training rows, so that wrong predictions are found at once."""
    rule, inputs = "the estimator must predict the rows it was fitted on", partial(describe_inputs, matrix, schema)
    with explaining(rule, TrainingError, place=place, remedy=inputs):
        raw = predictor.predict_raw(matrix)
        if schema.task != "regression" and raw.ndim == 1 and raw.dtype.kind != "f":
            raise _no_probabilities(predictor.estimator, schema, place)
        answer = predictor.predict(matrix)
    shape = (len(matrix), len(schema.classes)) if schema.task == "multiclass" else (len(matrix),)
    if answer.shape != shape:
        raise TrainingError(f"predictions must have the shape {shape}", value=answer.shape, place=place)
    _require_finite(answer, "predictions", place)
    if schema.task != "regression" and (answer.min() < 0 or answer.max() > 1):
        rule = "predictions of classes must be probabilities between 0 and 1"
        worst = float(answer.min() if answer.min() < 0 else answer.max())
        raise TrainingError(rule, value=worst, remedy="Return something with predict_proba.", place=place)
