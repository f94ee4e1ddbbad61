"""Trees of scikit-learn and XGBoost in treelite's own binary format, executed by its library.

See ``TreeliteGTILPredict`` in treelite's C API.
"""

from __future__ import annotations

import ctypes
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.boosters import best_rounds, find_xgboost
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.runtimes.shared_library import LibraryPredictor, ThreadBuffers
from everfit.artifact.schema import InputSchema

_FORESTS = frozenset({"ExtraTrees", "GradientBoosting", "HistGradientBoosting", "RandomForest"})


class TreelitePredictor(LibraryPredictor):
    """Trees in treelite's library. Raises :class:`~everfit.core.errors.CorruptPackageError` if it refuses the file."""

    runtime = "treelite"

    def __init__(self, file: Path, schema: InputSchema) -> None:
        super().__init__("treelite", last_error="TreeliteGetLastError")
        self._model, self._config = ctypes.c_void_p(), ctypes.c_void_p()
        self._columns = len(schema.columns)
        self._call(self._library.TreeliteDeserializeModelFromFile(str(file).encode(), ctypes.byref(self._model)))
        self._free_with(self, "TreeliteFreeModel", self._model)
        settings = json.dumps({"predict_type": "default", "nthread": 1}).encode()
        self._call(self._library.TreeliteGTILParseConfig(settings, ctypes.byref(self._config)))
        self._free_with(self, "TreeliteGTILDeleteConfig", self._config)
        kind = ctypes.c_char_p()
        self._call(self._library.TreeliteGetInputType(self._model, ctypes.byref(kind)))
        self._type = kind.value or b"float32"
        shape, axes = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        read_shape, one = self._library.TreeliteGTILGetOutputShape, ctypes.c_uint64(1)
        self._call(read_shape(self._model, one, self._config, ctypes.byref(shape), ctypes.byref(axes)))
        # A row's predictions are the shape's last axis: (rows, targets, classes).
        self._set_width(int(shape[axes.value - 1]), schema.task)
        # treelite's softmax computes in float32, whatever the type of the leaves.
        self.arithmetic = "float64" if self._type == b"float64" and schema.task != "multiclass" else "float32"

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        given = np.ascontiguousarray(matrix, dtype=self._type.decode())
        predictions = np.zeros((len(given), self._width), dtype=given.dtype)
        if len(given):
            at, to = (array.ctypes.data_as(ctypes.c_void_p) for array in (given, predictions))
            self._call(self._predict_call(at, len(given), to)())
        return self._shape(predictions.astype(np.float64))

    def _make_buffers(self) -> ThreadBuffers:
        number = ctypes.c_double if self._type == b"float64" else ctypes.c_float
        buffers = ThreadBuffers(number, self._columns, self._width)
        buffers.predict = self._predict_call(ctypes.byref(buffers.given), 1, ctypes.byref(buffers.prediction))
        return buffers

    def _predict_call(self, at: Any, rows: int, to: Any) -> partial[int]:
        predict = self._library.TreeliteGTILPredict
        return partial(predict, self._model, at, self._type, ctypes.c_uint64(rows), to, self._config)


def _save(estimator: Any, path: Path, schema: InputSchema) -> bool:  # noqa: ARG001
    module, name = type(estimator).__module__, type(estimator).__name__
    if module.startswith("sklearn.ensemble.") and (
        name == "IsolationForest" or name.removesuffix("Classifier").removesuffix("Regressor") in _FORESTS
    ):
        model = _from_sklearn(estimator)
    elif (booster := find_xgboost(estimator)) is not None:
        import treelite

        first, last = best_rounds(booster)
        model = treelite.frontend.from_xgboost(booster[first:last] if last else booster)
    else:
        return False
    model.serialize(str(path))
    return True


def _load(path: Path, schema: InputSchema) -> Predictor:
    return TreelitePredictor(path, schema)


def _from_sklearn(estimator: Any) -> Any:
    import treelite

    with warnings.catch_warnings():
        # treelite casts the gap among a category's values to an integer, which NumPy warns of.
        warnings.simplefilter("ignore", RuntimeWarning)
        model = treelite.sklearn.import_model(estimator)
    if not type(estimator).__name__.startswith("HistGradientBoosting"):
        _compare_as_float32(model)
    return model


def _compare_as_float32(model: Any) -> None:
    """Move every threshold so that comparing float64 gives what comparing after a cast to float32 gives.

    scikit-learn's trees cast features to float32 and compare them with float64 thresholds. A number is rounded to
    float32 at most the threshold exactly if it is at most the midpoint of the largest such float32 and the next one;
    the midpoint itself is rounded to the one of the two whose last bit is 0.
    """
    for tree in range(model.num_tree):
        accessor = model.get_tree_accessor(tree)
        thresholds = accessor.get_field("threshold")
        with np.errstate(over="ignore"):
            below = thresholds.astype(np.float32)
            below = np.where(below > thresholds, np.nextafter(below, np.float32(-np.inf)), below)
            above = np.nextafter(below, np.float32(np.inf))
        middle = (below.astype(np.float64) + above) / 2
        odd = below.view(np.uint32) % 2 == 1
        moved = np.where(odd, np.nextafter(middle, -np.inf), middle)
        accessor.set_field("threshold", np.where(np.isfinite(moved), moved, thresholds))


TREELITE = Runtime(name=TreelitePredictor.runtime, file="treelite.bin", save=_save, load=_load)
