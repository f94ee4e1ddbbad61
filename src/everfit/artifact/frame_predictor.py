"""Predictor of a packaged model whose estimator takes data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from everfit.artifact.input_limits import not_missing, too_large
from everfit.artifact.tolerance import FLOAT32_MAX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.model_frame import FrameBuilder
    from everfit.artifact.predictor import Predictor
    from everfit.core.evidence import Arithmetic


class FramePredictor:
    """Predictor on data frames, a single row as a frame of one row.

    Args:
        predictor: Takes the frames of ``builder``.
        builder: Builds them.
        accepts_missing: Whether the estimator takes missing values; if not, such requests are refused.
    """

    def __init__(self, predictor: Predictor, builder: FrameBuilder, *, accepts_missing: bool) -> None:
        self._predictor = predictor
        self._builder = builder
        self._accepts_missing = accepts_missing

    @property
    def runtime(self) -> str:
        """The runtime's name."""
        return self._predictor.runtime

    @property
    def arithmetic(self) -> Arithmetic:
        """The runtime's arithmetic."""
        return self._predictor.arithmetic

    def predict(self, matrix: Any) -> NDArray[np.float64]:
        """Predict the rows of a frame that ``builder`` built; else as :class:`everfit.artifact.predictor.Predictor`
        promises.

        Raises:
            InvalidRequestError: If the estimator takes no missing values and one is missing, or refuses a number that
                float32 cannot hold, as scikit-learn's forests do.
        """
        if not self._accepts_missing and (names := self._builder.lacking(matrix)):
            raise not_missing(names)
        try:
            return self._predictor.predict(matrix)
        except Exception as refusal:
            large = self._builder.beyond(matrix, FLOAT32_MAX)
            if not large:
                raise
            raise too_large(large, FLOAT32_MAX) from refusal

    def predict_one(self, vector: Sequence[Any] | NDArray[np.float64]) -> float | list[float]:
        """Predict one row.

        Args:
            vector: One value per column of the schema; ``None`` where it is missing.
        """
        prediction: float | list[float] = self.predict(self._builder.one(list(vector)))[0].tolist()
        return prediction
