"""An estimator that predicts the same for every row: the fallback of a model that was stopped."""

from __future__ import annotations

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from everfit.artifact.fitted_model import Fitted
from everfit.artifact.schema import InputSchema
from everfit.core.class_names import class_name
from everfit.core.errors import DefinitionError
from everfit.training.trainer import adapt


def constant_model(schema: InputSchema, value: float | str, *, place: str) -> Fitted:
    """Return a fitted model with the inputs of a schema that always predicts a value.

    Args:
        value: A number (regression), the positive class's probability (binary), or the name of a class (multiclass).
        place: The value's place, for the error.

    Raises:
        DefinitionError: If it is none of these.
    """
    weights = np.array(_weights(schema, value, place=place))
    codes, rows = np.arange(len(weights)), np.zeros((len(weights), 1))
    if schema.task == "regression":
        estimator = DummyRegressor(strategy="constant", constant=float(value)).fit([[0.0]], [0.0])
    else:
        estimator = DummyClassifier(strategy="prior").fit(rows, codes, sample_weight=weights)
    predictor = adapt(estimator, schema, place=place)
    return Fitted(estimator=estimator, schema=schema, predict=predictor.predict, arithmetic=predictor.arithmetic)


def chosen_class(value: float | str) -> str:
    """Return the name of the class that a value states; YAML reads the name of a whole number as a number.

    >>> chosen_class(3.0), chosen_class("tram")
    ('3', 'tram')
    """
    return class_name(int(value)) if isinstance(value, float) and value.is_integer() else class_name(value)


def _weights(schema: InputSchema, value: float | str, *, place: str) -> list[float]:
    """Return the probability of each class; none for a regression."""
    names = [class_name(label) for label in schema.classes]
    if schema.task == "multiclass" and chosen_class(value) in names:
        return [float(name == chosen_class(value)) for name in names]
    if schema.task == "binary" and isinstance(value, float) and 0 <= value <= 1:
        return [1 - value, value]
    if schema.task == "regression" and isinstance(value, float):
        return []
    wanted = {"multiclass": f"one of {', '.join(names)}", "binary": "a probability", "regression": "a number"}
    rule = f"the fallback of a {schema.task} model must be {wanted[schema.task]}"
    raise DefinitionError(rule, value=value, place=place)
