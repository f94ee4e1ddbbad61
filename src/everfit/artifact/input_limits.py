"""Limits of an estimator's inputs, and the predictors that refuse rows beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.predictor import Predictor
from everfit.artifact.schema import InputSchema
from everfit.core.errors import InvalidRequestError
from everfit.core.evidence import Arithmetic

FLOAT32_MAX = 3.4028234663852886e38
"""Largest number of float32 (IEEE 754 binary32)."""


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """Limits of an estimator's inputs; rows outside them are refused."""

    accepts_missing: bool
    largest: float | None = None
    """The largest magnitude of a number that it takes; ``None`` if it takes any."""


class LimitedPredictor:
    """Predictor that refuses what the estimator itself refuses, where its runtime would return some number."""

    def __init__(self, predictor: Predictor, schema: InputSchema, limits: InputLimits) -> None:
        self._predictor = predictor
        self._names = schema.names
        self._largest = limits.largest
        self._accepts_missing = limits.accepts_missing

    @property
    def runtime(self) -> str:
        """The runtime's name."""
        return self._predictor.runtime

    @property
    def arithmetic(self) -> Arithmetic:
        """The runtime's arithmetic."""
        return self._predictor.arithmetic

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises, and refuse rows beyond the limits."""
        if self._largest is not None:
            self._require(matrix, np.abs(matrix) > self._largest)
        if not self._accepts_missing:
            self._require(matrix, np.isnan(matrix))
        return self._predictor.predict(matrix)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises, and refuse a row beyond the limits."""
        largest = self._largest
        # In C, and false where NaN comes first, so that the slow way looks at every number.
        if largest is not None and not (max(vector) <= largest and min(vector) >= -largest):
            self._check(vector)
        if not self._accepts_missing:
            for number in vector:
                if number != number:  # noqa: PLR0124 - NaN, without a function call
                    self._check(vector)
        return self._predictor.predict_one(vector)

    def _require(self, matrix: NDArray[np.float64], beyond: NDArray[np.bool_]) -> None:
        for row in matrix[beyond.any(axis=1)][:1]:
            self._check(row.tolist())

    def _check(self, vector: Sequence[float] | NDArray[np.float64]) -> None:
        row = dict(zip(self._names, vector, strict=True))
        if self._largest is not None:
            large = {name: number for name, number in row.items() if abs(number) > self._largest}
            if large:
                raise too_large(large, self._largest)
        missing = [name for name, number in row.items() if number != number]  # noqa: PLR0124 - NaN
        if missing and not self._accepts_missing:
            raise not_missing(missing)


def too_large(values: Mapping[str, float], largest: float) -> InvalidRequestError:
    """Make the error for numbers that the estimator refuses, by column."""
    return InvalidRequestError(
        f"this model takes numbers between -{largest:.2g} and {largest:.2g}",
        value=values,
        remedy="Send a smaller number, or null if it is not known.",
    )


def not_missing(names: Sequence[str]) -> InvalidRequestError:
    """Make the error for columns without a value, where the estimator takes none."""
    return InvalidRequestError(
        "this model takes no missing values, nor categories that training never saw",
        value=names,
        remedy="Send them, or train with an imputer.",
    )
