"""LightGBM through its own shared library: a row in microseconds.

See ``LGBM_BoosterPredictForMatSingleRowFast`` in LightGBM's C API. Many rows at once are faster still by
:mod:`everfit.artifact.runtimes.lightgbm_batch`.
"""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.boosters import LIGHTGBM
from everfit.artifact.runtimes.lightgbm_batch import make_batch
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.runtimes.shared_library import LibraryPredictor, ThreadBuffers
from everfit.artifact.schema import InputSchema
from everfit.core.evidence import Task

_FLOAT64 = 1
_ROW_MAJOR = 1
_NORMAL = 0
_ALL_ROUNDS = (0, -1)
_OPTIONS = b"num_threads=1"


class LightgbmFastPredictor(LibraryPredictor):
    """A booster in LightGBM's library, from LightGBM's text format.

    Raises :class:`~everfit.core.errors.CorruptPackageError` if the library refuses it.
    """

    runtime = "lightgbm-fast"

    def __init__(self, model: bytes, *, columns: int, task: Task) -> None:
        super().__init__("lightgbm", last_error="LGBM_GetLastError")
        self._booster = ctypes.c_void_p()
        self._columns = columns
        rounds, classes = ctypes.c_int(), ctypes.c_int()
        self._call(
            self._library.LGBM_BoosterLoadModelFromString(model, ctypes.byref(rounds), ctypes.byref(self._booster))
        )
        self._free_with(self, "LGBM_BoosterFree", self._booster)
        self._call(self._library.LGBM_BoosterGetNumClasses(self._booster, ctypes.byref(classes)))
        self._set_width(classes.value, task)
        self._batch = make_batch(model.decode(errors="replace"))

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        if self._batch is not None and self._batch.is_faster(matrix):
            return self._shape(self._batch.predict(matrix))
        predictions = np.empty((len(matrix), self._width))
        at, to = (array.ctypes.data_as(ctypes.c_void_p) for array in (matrix, predictions))
        shape, length = (_FLOAT64, *matrix.shape, _ROW_MAJOR), ctypes.byref(ctypes.c_int64())
        predict = self._library.LGBM_BoosterPredictForMat
        self._call(predict(self._booster, at, *shape, _NORMAL, *_ALL_ROUNDS, _OPTIONS, length, to))
        return self._shape(predictions)

    def _make_buffers(self) -> ThreadBuffers:
        # The library's single-row configuration must not be shared between threads.
        config = ctypes.c_void_p()
        prepare = self._library.LGBM_BoosterPredictForMatSingleRowFastInit
        kind = (_NORMAL, *_ALL_ROUNDS, _FLOAT64, self._columns, _OPTIONS)
        self._call(prepare(self._booster, *kind, ctypes.byref(config)))
        buffers = ThreadBuffers(ctypes.c_double, self._columns, self._width)
        given, prediction = ctypes.byref(buffers.given), ctypes.byref(buffers.prediction)
        predict = self._library.LGBM_BoosterPredictForMatSingleRowFast
        buffers.predict = partial(predict, config, given, ctypes.byref(ctypes.c_int64()), prediction)
        self._free_with(buffers, "LGBM_FastConfigFree", config)
        return buffers


def _load(path: Path, schema: InputSchema) -> Predictor:
    return LightgbmFastPredictor(path.read_bytes(), columns=len(schema.columns), task=schema.task)


LIGHTGBM_FAST = Runtime(
    name=LightgbmFastPredictor.runtime,
    file=LIGHTGBM.file,
    save=lambda estimator, path, schema: path.exists(),  # noqa: ARG005 - the native runtime writes it
    load=_load,
)
