"""LightGBM through its own shared library: a row in microseconds, without the ``lightgbm`` package.

The package imports scipy, scikit-learn and pandas, which takes seconds and 170 MB; the library alone takes neither.
See ``LGBM_BoosterPredictForMatSingleRowFast`` in LightGBM's C API. Many rows at once are faster still by
:mod:`everfit.artifact.runtimes.lightgbm_batch`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.lightgbm import FILE
from everfit.artifact.runtimes.lightgbm_batch import make_batch
from everfit.artifact.runtimes.shared_library import load_shared_library
from everfit.artifact.schema import InputSchema
from everfit.core.errors import CorruptPackageError
from everfit.core.evidence import Arithmetic

_FLOAT64 = 1
_ROW_MAJOR = 1
_NORMAL = 0
_ALL_ROUNDS = (0, -1)
_OPTIONS = b"num_threads=1"


class LightgbmFastRuntime:
    """The same text as :class:`everfit.artifact.runtimes.lightgbm.LightgbmRuntime`, executed by the bare library."""

    name = "lightgbm-fast"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises; the file is the native runtime's."""
        return (FILE,) if (folder / FILE).exists() else ()

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises.

        Raises:
            ImportError: If LightGBM is not installed.
            CorruptPackageError: If the library refuses the model.
        """
        return LightgbmFastPredictor(
            (folder / FILE).read_bytes(), columns=len(schema.columns), both_classes=schema.task == "multiclass"
        )


class LightgbmFastPredictor:
    """A booster in LightGBM's library.

    Args:
        model: LightGBM's text format.
        columns: Number of columns of a row.
        both_classes: Return the probabilities of both classes where the booster has one output.
    """

    runtime = LightgbmFastRuntime.name
    arithmetic: Arithmetic = "float64"

    def __init__(self, model: bytes, *, columns: int, both_classes: bool = False) -> None:
        self._library: Any = load_shared_library("lightgbm")
        self._booster = ctypes.c_void_p()
        self._columns = columns
        rounds, classes = ctypes.c_int(), ctypes.c_int()
        self._call(
            self._library.LGBM_BoosterLoadModelFromString(model, ctypes.byref(rounds), ctypes.byref(self._booster))
        )
        self._call(self._library.LGBM_BoosterGetNumClasses(self._booster, ctypes.byref(classes)))
        self._classes = classes.value
        self._pair = both_classes and self._classes == 1
        self._single = self._classes == 1 and not both_classes
        self._batch = make_batch(model.decode(errors="replace"))
        self._threads = threading.local()
        self._predict_row = self._library.LGBM_BoosterPredictForMatSingleRowFast

    def __del__(self) -> None:
        # A service that swaps versions for months must give back what the library holds.
        if getattr(self, "_booster", None):
            self._library.LGBM_BoosterFree(self._booster)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        if self._batch is not None and self._batch.is_faster(matrix):
            return self._shape(self._batch.predict(matrix))
        predictions = np.empty((len(matrix), self._classes))
        length = ctypes.c_int64()
        self._call(
            self._library.LGBM_BoosterPredictForMat(
                self._booster,
                matrix.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(matrix.shape[0]),
                ctypes.c_int32(matrix.shape[1]),
                ctypes.c_int(_ROW_MAJOR),
                ctypes.c_int(_NORMAL),
                *(ctypes.c_int(end) for end in _ALL_ROUNDS),
                _OPTIONS,
                ctypes.byref(length),
                predictions.ctypes.data_as(ctypes.c_void_p),
            )
        )
        return self._shape(predictions)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        try:
            row = self._threads.row
        except AttributeError:
            row = self._threads.row = _LightgbmRow(self._library, self._booster, self._columns, self._classes)
        row.given[:] = vector
        if self._predict_row(row.config, row.given_at, row.length_at, row.prediction_at):
            self._call(-1)
        if self._single:
            return row.prediction[0]  # type: ignore[no-any-return]
        return [1 - row.prediction[0], row.prediction[0]] if self._pair else list(row.prediction)

    def _shape(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._pair:
            return np.column_stack([1 - predictions[:, 0], predictions[:, 0]])
        return predictions[:, 0].copy() if self._single else predictions

    def _call(self, outcome: int) -> None:
        _require_success(self._library, outcome)


class _LightgbmRow:
    """One thread's configuration and buffers: the library's single-row configuration must not be shared."""

    def __init__(self, library: Any, booster: ctypes.c_void_p, columns: int, classes: int) -> None:
        self._library = library
        self.config = ctypes.c_void_p()
        self.given = (ctypes.c_double * columns)()
        self.prediction = (ctypes.c_double * classes)()
        self.given_at = ctypes.byref(self.given)
        self.prediction_at = ctypes.byref(self.prediction)
        self.length_at = ctypes.byref(ctypes.c_int64())
        _require_success(
            library,
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster,
                ctypes.c_int(_NORMAL),
                *(ctypes.c_int(end) for end in _ALL_ROUNDS),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(columns),
                _OPTIONS,
                ctypes.byref(self.config),
            ),
        )

    def __del__(self) -> None:
        if self.config:
            self._library.LGBM_FastConfigFree(self.config)


def _require_success(library: Any, outcome: int) -> None:
    if outcome:
        library.LGBM_GetLastError.restype = ctypes.c_char_p
        raise CorruptPackageError("LightGBM refuses", value=library.LGBM_GetLastError().decode())
