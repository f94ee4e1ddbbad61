"""XGBoost's boosters as universal binary JSON."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.schema import InputSchema

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

        booster = xgboost.Booster(model_file=str(folder / FILE))
        # Without a DMatrix, and only up to the best round if training stopped early.
        method = partial(booster.inplace_predict, iteration_range=best_rounds(booster), validate_features=False)
        return NativePredictor(self.name, booster, schema, method=method)


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
