"""Estimators executed by their own ``predict`` and ``predict_proba``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.schema import InputSchema
    from everfit.core.evidence import Arithmetic, Task


class NativePredictor:
    """Any estimator, in its own library.

    Args:
        form: How it was stored.
        estimator: See :func:`prediction_method`.
        schema: What it was fitted on.
    """

    arithmetic: Arithmetic = "float64"
    """Of what the estimator returned last."""

    def __init__(self, form: str, estimator: Any, schema: InputSchema) -> None:
        self.form = form
        self.estimator = estimator
        self._task = schema.task
        self._classes = len(schema.classes)
        self._method = prediction_method(estimator, schema.task)
        self._places = class_places(estimator) if schema.task != "regression" else None

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        raw = self.predict_raw(matrix)
        return shape_predictions(raw, self._task, classes=self._classes, places=self._places)

    def predict_raw(self, matrix: NDArray[np.float64]) -> NDArray[Any]:
        """Return what the estimator itself returns, as an array."""
        import numpy as np

        raw = np.asarray(self._method(matrix))
        if raw.dtype == np.float32:
            self.arithmetic = "float32"
        return raw

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        prediction: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return prediction


def prediction_method(estimator: Any, task: Task) -> Callable[[Any], Any]:
    """Return the method of an estimator that predicts rows.

    Args:
        estimator: Has ``predict``, and for classification ``predict_proba``; without that, ``predict`` must give
            probabilities, as gradient boosting libraries' own boosters do.
        task: What is predicted.

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
    """Place in the schema's classes of every column of ``predict_proba``; ``None`` where the estimator does not say."""
    known = getattr(estimator, "classes_", None)
    return None if known is None else [int(label) for label in known]


def shape_predictions(raw: Any, task: Task, *, classes: int, places: Sequence[int] | None) -> NDArray[np.float64]:
    """Bring what an estimator returned into the one shape that :class:`everfit.artifact.predictor.Predictor` promises.

    Args:
        raw: Values of shape ``(rows,)`` or ``(rows, 1)``, or probabilities: ``(rows, classes)``, or those of the last
            of two classes alone, ``(rows,)`` or ``(rows, 1)``.
        task: What is predicted.
        classes: Number of classes in the schema.
        places: See :func:`class_places`.

    Returns:
        Float64. Anything else that the estimator returned keeps its shape.
    """
    import numpy as np

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
