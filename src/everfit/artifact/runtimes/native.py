"""Estimators executed by their own ``predict`` and ``predict_proba``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.schema import InputSchema
from everfit.core.evidence import Arithmetic, Task


class NativePredictor:
    """Any estimator, in its own library.

    Args:
        runtime: Name of its runtime.
        estimator: See :func:`prediction_method`.
        schema: Schema of its training.
        method: Predicts rows, instead of the estimator's own method.
    """

    arithmetic: Arithmetic = "float64"
    """Arithmetic of the estimator's last result."""

    def __init__(
        self, runtime: str, estimator: Any, schema: InputSchema, *, method: Callable[[Any], Any] | None = None
    ) -> None:
        self.runtime = runtime
        self.estimator = estimator
        self._task = schema.task
        self._classes = len(schema.classes)
        self._method = method or prediction_method(estimator, schema.task)
        self._places = class_places(estimator) if schema.task != "regression" else None

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        raw = self.predict_raw(matrix)
        return shape_predictions(raw, self._task, classes=self._classes, places=self._places)

    def predict_raw(self, matrix: NDArray[np.float64]) -> NDArray[Any]:
        """Return what the estimator itself returns, as an array."""
        raw = np.asarray(self._method(matrix))
        if raw.dtype == np.float32:
            self.arithmetic = "float32"
        return raw

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        prediction: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return prediction


def prediction_method(estimator: Any, task: Task) -> Callable[[Any], Any]:
    """Return the method of an estimator that predicts rows.

    Args:
        estimator: Has ``predict``, and for classification ``predict_proba``; without that, ``predict`` must give
            probabilities, as gradient boosting libraries' own boosters do.
        task: The kind of prediction.

    Raises:
        AttributeError: If it has no such method.
    """
    if type(estimator).__module__.startswith("xgboost.") and not hasattr(estimator, "get_booster"):
        # A booster's own predict takes nothing but a DMatrix.
        method: Callable[[Any], Any] = estimator.inplace_predict
        return method
    name = "predict_proba" if task != "regression" and hasattr(estimator, "predict_proba") else "predict"
    found: Callable[[Any], Any] = getattr(estimator, name)
    return found


def class_places(estimator: Any) -> list[int] | None:
    """Return the place in the schema's classes of every column of ``predict_proba``; ``None`` if it is unknown."""
    known = getattr(estimator, "classes_", None)
    return None if known is None else [int(label) for label in known]


def shape_predictions(raw: Any, task: Task, *, classes: int, places: Sequence[int] | None) -> NDArray[np.float64]:
    """Bring an estimator's result into the one shape that :class:`everfit.artifact.predictor.Predictor` promises.

    Args:
        raw: Values of shape ``(rows,)`` or ``(rows, 1)``, or probabilities: ``(rows, classes)``, or those of the last
            of two classes alone, ``(rows,)`` or ``(rows, 1)``.
        task: The kind of prediction.
        classes: Number of classes in the schema.
        places: See :func:`class_places`.

    Returns:
        Float64. Results of any other shape keep it.
    """
    values = np.asarray(raw, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] == 1 and (task == "regression" or places is None):
        values = values[:, 0]
    if task == "multiclass" and classes == 2 and values.ndim == 1:
        return np.column_stack([1 - values, values])
    if task == "regression" or values.ndim != 2:
        return values
    if places is not None and len(places) == values.shape[1] and list(places) != list(range(classes)):
        # In another order, or without a column for a class that the estimator never met.
        aligned = np.zeros((len(values), classes))
        aligned[:, places] = values
        values = aligned
    return np.ascontiguousarray(values[:, -1]) if task == "binary" else values
