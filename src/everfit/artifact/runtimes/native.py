"""Estimators executed by their own ``predict`` and ``predict_proba``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.schema import InputSchema
from everfit.core.evidence import Arithmetic, Task


class NativePredictor:
    """Any estimator, in its own library, through ``predict`` or ``predict_proba``.

    For classification it has ``predict_proba``, or its ``predict`` must give probabilities, as gradient boosting
    libraries' own boosters do. Raises :class:`AttributeError` if it has neither, and no ``method`` is given instead.
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
        self._method = method or _prediction_method(estimator, schema.task)
        known = getattr(estimator, "classes_", None) if schema.task != "regression" else None
        # The place in the schema's classes of every column of predict_proba.
        self._places = None if known is None else [int(label) for label in known]

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises; results of an unknown shape keep it.

        An estimator may return values of shape ``(rows,)`` or ``(rows, 1)``, or probabilities: ``(rows, classes)``, or
        those of the last of two classes alone, ``(rows,)`` or ``(rows, 1)``.
        """
        values = np.asarray(self.predict_raw(matrix), dtype=np.float64)
        if values.ndim == 2 and values.shape[1] == 1 and self._places is None:
            values = values[:, 0]
        if self._task == "multiclass" and self._classes == 2 and values.ndim == 1:
            return np.column_stack([1 - values, values])
        if self._task == "regression" or values.ndim != 2:
            return values
        places = self._places
        if places is not None and len(places) == values.shape[1] and places != list(range(self._classes)):
            # In another order, or without a column for a class that the estimator never met.
            aligned = np.zeros((len(values), self._classes))
            aligned[:, places] = values
            values = aligned
        return np.ascontiguousarray(values[:, -1]) if self._task == "binary" else values

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


def _prediction_method(estimator: Any, task: Task) -> Callable[[Any], Any]:
    if type(estimator).__module__.startswith("xgboost.") and not hasattr(estimator, "get_booster"):
        name = "inplace_predict"  # a booster's own predict takes nothing but a DMatrix
    else:
        name = "predict_proba" if task != "regression" and hasattr(estimator, "predict_proba") else "predict"
    method: Callable[[Any], Any] = getattr(estimator, name)
    return method
