"""Trees of scikit-learn and XGBoost in treelite's own binary format, executed by its library.

The ``treelite`` package imports scipy, which takes a second; the prediction process calls the library alone. See
``TreeliteGTILPredict`` in treelite's C API.
"""

from __future__ import annotations

import ctypes
import json
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.shared_library import load_shared_library
from everfit.artifact.runtimes.xgboost import best_rounds, find_booster
from everfit.artifact.schema import InputSchema
from everfit.core.errors import CorruptPackageError
from everfit.core.evidence import Arithmetic

_FILE = "treelite.bin"
_ENSEMBLES = frozenset(
    {
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
        "GradientBoostingClassifier",
        "GradientBoostingRegressor",
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
        "IsolationForest",
        "RandomForestClassifier",
        "RandomForestRegressor",
    }
)


class TreeliteRuntime:
    """treelite's checkpoint."""

    name = "treelite"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        kind = type(estimator)
        if kind.__module__.startswith("sklearn.ensemble.") and kind.__name__ in _ENSEMBLES:
            model = _from_sklearn(estimator)
        else:
            booster = find_booster(estimator)
            if booster is None:
                return ()
            model = _from_xgboost(booster)
        model.serialize(str(folder / _FILE))
        return (_FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises.

        Raises:
            ImportError: If treelite is not installed.
            CorruptPackageError: If the library refuses the model.
        """
        return TreelitePredictor(folder / _FILE, schema)


class TreelitePredictor:
    """Trees in treelite's library."""

    runtime = TreeliteRuntime.name
    arithmetic: Arithmetic

    def __init__(self, file: Path, schema: InputSchema) -> None:
        self._library: Any = load_shared_library("treelite")
        self._model, self._config = ctypes.c_void_p(), ctypes.c_void_p()
        self._columns = len(schema.columns)
        self._positive = schema.task == "binary"
        self._call(self._library.TreeliteDeserializeModelFromFile(str(file).encode(), ctypes.byref(self._model)))
        settings = json.dumps({"predict_type": "default", "nthread": 1}).encode()
        self._call(self._library.TreeliteGTILParseConfig(settings, ctypes.byref(self._config)))
        self._type = self._read_type()
        self._number = ctypes.c_double if self._type == b"float64" else ctypes.c_float
        self._width = self._read_width()
        # treelite's softmax computes in float32, whatever the type of the leaves.
        self.arithmetic = "float64" if self._type == b"float64" and schema.task != "multiclass" else "float32"
        self._pair = schema.task == "multiclass" and self._width == 1
        self._threads = threading.local()
        self._predict = self._library.TreeliteGTILPredict

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        given = np.ascontiguousarray(matrix, dtype=self._type.decode())
        predictions = np.zeros((len(given), self._width), dtype=given.dtype)
        if len(given):
            at, rows = given.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(len(given))
            to = predictions.ctypes.data_as(ctypes.c_void_p)
            self._call(self._predict(self._model, at, self._type, rows, to, self._config))
        chances = predictions.astype(np.float64)
        if self._pair:
            return np.column_stack([1 - chances[:, 0], chances[:, 0]])
        if self._width == 1:
            return chances[:, 0]
        return chances[:, 1] if self._positive else chances

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        try:
            row = self._threads.row
        except AttributeError:
            row = self._threads.row = _TreeliteRow(self._number, self._columns, self._width)
        row.given[:] = vector
        if self._predict(self._model, row.given_at, self._type, row.one, row.prediction_at, self._config):
            self._call(-1)
        if self._width == 1:
            return [1 - row.prediction[0], row.prediction[0]] if self._pair else row.prediction[0]
        return row.prediction[1] if self._positive else list(row.prediction)

    def _read_type(self) -> bytes:
        name = ctypes.c_char_p()
        self._call(self._library.TreeliteGetInputType(self._model, ctypes.byref(name)))
        return name.value or b"float32"

    def _read_width(self) -> int:
        """Return the length of a row's prediction: the shape's last axis, (rows, targets, classes)."""
        shape, axes = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self._call(
            self._library.TreeliteGTILGetOutputShape(
                self._model, ctypes.c_uint64(1), self._config, ctypes.byref(shape), ctypes.byref(axes)
            )
        )
        return int(shape[axes.value - 1])

    def _call(self, outcome: int) -> None:
        if outcome:
            self._library.TreeliteGetLastError.restype = ctypes.c_char_p
            raise CorruptPackageError("treelite refuses", value=self._library.TreeliteGetLastError().decode())


class _TreeliteRow:
    """One thread's buffers, kept because allocating them costs more than predicting small models."""

    def __init__(self, number: Any, columns: int, width: int) -> None:
        self.given = (number * columns)()
        self.prediction = (number * width)()
        self.given_at = ctypes.byref(self.given)
        self.prediction_at = ctypes.byref(self.prediction)
        self.one = ctypes.c_uint64(1)


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


def _from_xgboost(booster: Any) -> Any:
    import treelite

    first, last = best_rounds(booster)
    return treelite.frontend.from_xgboost(booster[first:last] if last else booster)
