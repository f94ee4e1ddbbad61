"""Interface of a packaged model, whatever runtime executes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from everfit.core.evidence import Arithmetic


BATCH_ROWS = 256
"""Proofs predict two rows at once and at least this many: a runtime may have one way for few rows and one for many."""


class Predictor(Protocol):
    """A loaded model.

    Both methods may be called from several threads at once, keep nothing of their arguments, and agree with each
    other.
    """

    @property
    def runtime(self) -> str:
        """The runtime's name, for example ``treelite``."""

    @property
    def arithmetic(self) -> Arithmetic:
        """Precision of its sums, unless the estimator itself computes with fewer digits."""

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict rows, float64 in C order of shape ``(rows, columns)``; missing values are NaN.

        Returns:
            Float64: shape ``(rows,)`` with the probability of the positive class or the value, shape
            ``(rows, classes)`` for multiclass.
        """

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """Predict one row, a number per column, as fast as the runtime allows; missing values are NaN.

        Returns:
            The probability of the positive class or the value; for multiclass the classes' probabilities in order.
        """
