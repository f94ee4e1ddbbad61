"""What a packaged model can be asked, whatever form it is stored in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from everfit.core.evidence import Arithmetic


BATCH_ROWS = 256
"""Proofs ask two rows at once and at least this many: a form may answer few and many in two ways, but not in three."""


class Predictor(Protocol):
    """A loaded model.

    Both methods may be called from several threads at once, keep nothing of their arguments, and agree with each
    other.
    """

    form: str
    """How the model is stored and executed, for example ``treelite``."""
    arithmetic: Arithmetic
    """Precision of its sums, unless the estimator itself computes with fewer digits."""

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict rows.

        Args:
            matrix: Float64 in C order, shape ``(rows, columns)``; missing values are NaN.

        Returns:
            Float64: shape ``(rows,)`` with the chance of the positive class or the value, shape ``(rows, classes)``
            for multiclass.
        """
        ...

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """Predict one row as fast as the form allows.

        Args:
            vector: One number per column; missing values are NaN.

        Returns:
            The chance of the positive class or the value; for multiclass the classes' chances in their order.
        """
        ...
