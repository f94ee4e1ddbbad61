"""A BentoML service as its documentation writes one. Runs in its own environment.

``MODEL=model.joblib bentoml serve benchmarks.serving_bentoml:Churn``
"""

from __future__ import annotations

import os

import bentoml  # type: ignore[import-not-found]
import joblib
import numpy as np


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Churn:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(rows)[:, 1])
