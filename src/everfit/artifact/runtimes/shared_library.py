"""Predictors in the shared libraries of Python packages, loaded without the packages: importing those takes seconds.

``lightgbm`` imports scipy, scikit-learn and pandas (170 MB), ``treelite`` scipy; the libraries alone take neither.
"""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from everfit.core.errors import CorruptPackageError
from everfit.core.evidence import Arithmetic, Task


class ThreadBuffers:
    """One thread's buffers, kept because allocating them costs more than predicting small models."""

    def __init__(self, number: Any, columns: int, width: int) -> None:
        self.given = (number * columns)()
        self.prediction = (number * width)()
        self.predict: Callable[[], int]
        """Predict ``given`` into ``prediction``; other than 0 if the library refuses."""


class LibraryPredictor(ABC):
    """Predictor in the library of a package, whose ``last_error`` is the library's function for error messages."""

    runtime: str
    arithmetic: Arithmetic = "float64"

    def __init__(self, package: str, *, last_error: str) -> None:
        self._package, self._last_error = package, last_error
        self._library: Any = _load_library(package)
        self._threads = threading.local()

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        try:
            buffers = self._threads.buffers
        except AttributeError:
            buffers = self._threads.buffers = self._make_buffers()
        buffers.given[:] = vector
        if buffers.predict():
            self._call(-1)
        prediction: Sequence[float] = buffers.prediction
        if self._place is not None:
            return prediction[self._place]
        return [1 - prediction[0], prediction[0]] if self._is_pair else list(prediction)

    @abstractmethod
    def _make_buffers(self) -> ThreadBuffers: ...

    def _set_width(self, width: int, task: Task) -> None:
        """Take the number of values that the library returns for a row."""
        self._width = width
        # The prediction's place among them; None if all are. A multiclass model may return one of two classes.
        self._place = {"regression": 0, "binary": min(width, 2) - 1, "multiclass": None}[task]
        self._is_pair = task == "multiclass" and width == 1

    def _shape(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._place is not None:
            return predictions[:, self._place]
        return np.column_stack([1 - predictions[:, 0], predictions[:, 0]]) if self._is_pair else predictions

    def _free_with(self, owner: object, free: str, handle: ctypes.c_void_p) -> None:
        """Give back what the library holds with its owner: a service swaps versions for months."""
        finalize(owner, self._library[free], handle).atexit = False

    def _call(self, outcome: int) -> None:
        if outcome:
            last_error = self._library[self._last_error]
            last_error.restype = ctypes.c_char_p
            raise CorruptPackageError(f"{self._package} refuses", value=last_error().decode())


def _load_library(package: str) -> ctypes.CDLL:
    found = importlib.util.find_spec(package)  # does not import it
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    folder = Path(found.submodule_search_locations[0]) / "lib"
    files = sorted(folder.glob(f"*{package}.*"))
    if not files:
        names = ", ".join(sorted(file.name for file in folder.glob("*"))) or "nothing"
        raise ImportError(f"{folder} holds no library of {package}, but {names}")
    return ctypes.CDLL(str(files[0]))
