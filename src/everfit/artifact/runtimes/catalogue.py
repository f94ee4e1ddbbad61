"""Catalogue of all runtimes, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping

from everfit.artifact.runtimes.boosters import LIGHTGBM, XGBOOST
from everfit.artifact.runtimes.lightgbm_fast import LIGHTGBM_FAST
from everfit.artifact.runtimes.onnx import ONNX
from everfit.artifact.runtimes.pickled import PICKLE
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.runtimes.sklearn import SKOPS
from everfit.artifact.runtimes.treelite import TREELITE

NATIVE = (LIGHTGBM, XGBOOST, SKOPS, PICKLE)
"""They hold the estimator itself; the first that can hold it, and gives back its predictions, is kept."""

ACCELERATED = (LIGHTGBM_FAST, TREELITE, ONNX)
"""They hold what is needed to predict, and are used where they are proved equal and faster."""

RUNTIMES: Mapping[str, Runtime] = {runtime.name: runtime for runtime in NATIVE + ACCELERATED}
