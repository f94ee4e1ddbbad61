"""Boosters of LightGBM and XGBoost in their own formats, executed by their own packages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.schema import InputSchema


def find_lightgbm(estimator: Any) -> Any:
    """Return the booster within an estimator of LightGBM; ``None`` for any other."""
    if not type(estimator).__module__.startswith("lightgbm."):
        return None
    return estimator.booster_ if hasattr(type(estimator), "booster_") else estimator


def find_xgboost(estimator: Any) -> Any:
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
    """Range of XGBoost's rounds to execute: up to the best one if training stopped early; (0, 0) for all."""
    best = booster.attr("best_iteration")
    return (0, 0) if best is None else (0, int(best) + 1)


def _save(find: Callable[[Any], Any], estimator: Any, path: Path, schema: InputSchema) -> bool:  # noqa: ARG001
    booster = find(estimator)
    if booster is not None:
        booster.save_model(str(path))
    return booster is not None


def _load_lightgbm(path: Path, schema: InputSchema) -> Predictor:
    import lightgbm

    return NativePredictor(LIGHTGBM.name, lightgbm.Booster(model_file=str(path)), schema)


def _load_xgboost(path: Path, schema: InputSchema) -> Predictor:
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    # Without a DMatrix, and only up to the best round if training stopped early.
    method = partial(booster.inplace_predict, iteration_range=best_rounds(booster), validate_features=False)
    return NativePredictor(XGBOOST.name, booster, schema, method=method)


LIGHTGBM = Runtime(name="lightgbm", file="lightgbm.txt", save=partial(_save, find_lightgbm), load=_load_lightgbm)
XGBOOST = Runtime(name="xgboost", file="xgboost.ubj", save=partial(_save, find_xgboost), load=_load_xgboost)
"""It computes in float32."""
