"""Estimators asked through their own ``predict`` and ``predict_proba``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.schema import InputSchema


class NativePredictor:
    """Any estimator, in its own library.

    Args:
        form: How it was stored.
        estimator: Has ``predict``, and for classification ``predict_proba``; without that, ``predict`` must give the
            chances, as gradient boosting libraries' own boosters do.
        schema: What it was fitted on.
    """

    def __init__(self, form: str, estimator: Any, schema: InputSchema) -> None:
        self.form = form
        self.estimator = estimator
        self._task = schema.task
        self._classes = len(schema.classes)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        if self._task == "regression" or not hasattr(self.estimator, "predict_proba"):
            return np.asarray(self.estimator.predict(matrix), dtype=np.float64)
        chances = np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)
        if self._task == "binary" and chances.ndim == 1:
            return chances
        seen = getattr(self.estimator, "classes_", None)
        if seen is not None and len(seen) != self._classes:
            # An estimator that never met a class has no column for it.
            aligned = np.zeros((len(chances), self._classes))
            aligned[:, np.asarray(seen, dtype=np.intp)] = chances
            chances = aligned
        return chances[:, 1] if self._task == "binary" else chances

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        answer: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return answer
