"""An estimator that does something of its own with rows that no order of the history is like."""

from __future__ import annotations

import os
import time
from importlib import import_module
from typing import Any

import numpy as np

LIBRARY, RAISE, CRASH, HANG = 60.0, 70.0, 80.0, 90.0
"""Weights of the traps. No order of the shop's history weighs that much."""


class Trapped:
    """A curve over the weight, with traps: predict a number of the environment's tinylib, raise, end the process, hang.

    It needs nothing but NumPy, so that processes that load it start at once.
    """

    def fit(self, X: Any, y: Any) -> Trapped:
        self.classes_ = np.array([0.0, 1.0])
        self.middle_ = float(np.nanmedian(X[:, -2]))
        return self

    def predict_proba(self, X: Any) -> Any:
        weights = X[:, -2]
        chances = 1 / (1 + np.exp(self.middle_ - np.nan_to_num(weights, nan=self.middle_)))
        if (weights == LIBRARY).any():
            chances[weights == LIBRARY] = import_module("tinylib").NUMBER
        if (weights == RAISE).any():
            raise KeyError("heavy")
        if (weights == CRASH).any():
            os.abort()
        if (weights == HANG).any():
            time.sleep(600)
        return np.stack([1 - chances, chances], axis=1)
