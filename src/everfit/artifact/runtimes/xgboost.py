"""XGBoost's boosters as universal binary JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from everfit.artifact.runtimes.native import shape_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.schema import InputSchema
    from everfit.core.evidence import Arithmetic

FILE = "xgboost.ubj"


class XgboostRuntime:
    """XGBoost's own format, executed by the ``xgboost`` package in float32."""

    name = "xgboost"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        booster = find_booster(estimator)
        if booster is None:
            return ()
        booster.save_model(str(folder / FILE))
        return (FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        import xgboost

        return XgboostPredictor(xgboost.Booster(model_file=str(folder / FILE)), schema)


def find_booster(estimator: Any) -> Any:
    """Return the booster within an estimator of XGBoost; ``None`` for any other, and where NaN is not what is missing.

    The attribute ``best_iteration`` stays only where the estimator's own ``predict`` stops there: a bare booster's
    takes all rounds.
    """
    if not type(estimator).__module__.startswith("xgboost."):
        return None
    if hasattr(estimator, "get_booster"):
        return estimator.get_booster() if estimator.missing != estimator.missing else None
    booster = estimator.copy()
    booster.set_attr(best_iteration=None)
    return booster


def best_rounds(booster: Any) -> tuple[int, int]:
    """Range of rounds to execute: up to the best one if training stopped early; (0, 0) for all."""
    best = booster.attr("best_iteration")
    return (0, 0) if best is None else (0, int(best) + 1)


class XgboostPredictor:
    """A booster executed without a ``DMatrix``.

    Args:
        booster: The booster; if it stopped early, its trees up to the best round are executed.
        schema: Schema of its training.
    """

    runtime = XgboostRuntime.name
    arithmetic: Arithmetic = "float32"

    def __init__(self, booster: Any, schema: InputSchema) -> None:
        self.estimator = booster
        self._rounds = best_rounds(booster)
        self._task = schema.task
        self._classes = len(schema.classes)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        raw = self.estimator.inplace_predict(matrix, iteration_range=self._rounds, validate_features=False)
        return shape_predictions(raw, self._task, classes=self._classes, places=None)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        answer: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return answer
