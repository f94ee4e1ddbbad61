"""Catalogue of all runtimes, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping

from everfit.artifact.runtimes.lightgbm import LightgbmRuntime
from everfit.artifact.runtimes.lightgbm_fast import LightgbmFastRuntime
from everfit.artifact.runtimes.onnx import OnnxRuntime
from everfit.artifact.runtimes.pickled import PickledRuntime
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.runtimes.sklearn import SklearnRuntime
from everfit.artifact.runtimes.treelite import TreeliteRuntime
from everfit.artifact.runtimes.xgboost import XgboostRuntime

NATIVE: tuple[Runtime, ...] = (LightgbmRuntime(), XgboostRuntime(), SklearnRuntime(), PickledRuntime())
"""They hold the estimator itself; the first that can hold it, and gives back its predictions, is kept."""

ACCELERATED: tuple[Runtime, ...] = (LightgbmFastRuntime(), TreeliteRuntime(), OnnxRuntime())
"""They hold what is needed to predict, and are used where they are proved equal and faster."""

RUNTIMES: Mapping[str, Runtime] = {runtime.name: runtime for runtime in NATIVE + ACCELERATED}
