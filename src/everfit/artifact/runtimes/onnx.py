"""scikit-learn's linear models and pipelines as ONNX, where ONNX Runtime and skl2onnx are installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.schema import InputSchema
from everfit.artifact.split_points import parts_within
from everfit.core.evidence import Arithmetic

_CONTINUOUS = tuple(
    f"sklearn.{name}" for name in ("compose", "decomposition", "impute", "linear_model", "pipeline", "preprocessing")
)
_JUMPS = frozenset({"Binarizer", "KBinsDiscretizer", "KNNImputer"})
"""The exceptions among these. Encoders jump, too, but only beside values that occur, which the proof tests."""


class OnnxPredictor:
    """A session of ONNX Runtime, in float64 on one thread."""

    runtime = "onnx"
    arithmetic: Arithmetic = "float64"

    def __init__(self, model: bytes, schema: InputSchema) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._run = self._session.run
        self._outputs = [self._session.get_outputs()[-1].name]
        self._task = schema.task

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        predictions = np.asarray(self._run(self._outputs, {"X": matrix})[0], dtype=np.float64)
        if self._task == "regression":
            return predictions.reshape(len(matrix))
        return predictions[:, 1] if self._task == "binary" else predictions

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        prediction: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return prediction


def _save(estimator: Any, path: Path, schema: InputSchema) -> bool:
    is_linear = type(estimator).__module__.startswith(("sklearn.linear_model", "sklearn.pipeline"))
    installed = all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "skl2onnx"))
    if not (is_linear and installed and _is_continuous(estimator)):
        return False
    path.write_bytes(_convert(estimator, schema))
    return True


def _load(path: Path, schema: InputSchema) -> Predictor:
    return OnnxPredictor(path.read_bytes(), schema)


def _is_continuous(estimator: Any) -> bool:
    """Return false if a step may jump where no proof tests: behind a scaler thresholds are not those of a column."""
    from sklearn.base import BaseEstimator

    steps = [type(part) for part, _ in parts_within(estimator) if isinstance(part, BaseEstimator)]
    return all(step.__module__.startswith(_CONTINUOUS) and step.__name__ not in _JUMPS for step in steps)


def _convert(estimator: Any, schema: InputSchema) -> bytes:
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType

    options = None if schema.task == "regression" else {id(estimator): {"zipmap": False}}
    types = [("X", DoubleTensorType([None, len(schema.columns)]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = skl2onnx.to_onnx(estimator, initial_types=types, options=options)
    content: bytes = model.SerializeToString()
    return content


ONNX = Runtime(name=OnnxPredictor.runtime, file="model.onnx", save=_save, load=_load)
