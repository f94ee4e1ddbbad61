"""A packaged model whose estimator sees data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from everfit.artifact.tolerance import FLOAT32_MAX
from everfit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.model_frame import FrameBuilder
    from everfit.artifact.predictor import Predictor


class FramePredictor:
    """Asks a predictor with data frames, a row as a frame of one row.

    Args:
        predictor: Takes the frames of ``builder``.
        builder: Builds them.
        accepts_missing: Whether the estimator takes missing values; if not, such requests are refused.
    """

    def __init__(self, predictor: Predictor, builder: FrameBuilder, *, accepts_missing: bool) -> None:
        self.form = predictor.form
        self.arithmetic = predictor.arithmetic
        self._predictor = predictor
        self._builder = builder
        self._accepts_missing = accepts_missing

    def predict(self, matrix: Any) -> NDArray[np.float64]:
        """Predict the rows of a frame that ``builder`` built; else as :class:`everfit.artifact.predictor.Predictor`
        promises.

        Raises:
            InvalidRequestError: If the estimator takes no missing values and one is missing, or refuses a number that
                float32 cannot hold, as scikit-learn's forests do.
        """
        if not self._accepts_missing and (names := self._builder.lacking(matrix)):
            raise InvalidRequestError(
                "this model takes no missing values, nor categories that training never saw",
                value=names,
                remedy="Send them, or train with an imputer.",
            )
        try:
            return self._predictor.predict(matrix)
        except Exception as refusal:
            large = self._builder.beyond(matrix, FLOAT32_MAX)
            if not large:
                raise
            raise InvalidRequestError(
                f"this model takes numbers between -{FLOAT32_MAX:.2g} and {FLOAT32_MAX:.2g}",
                value=large,
                remedy="Send a smaller number, or null if it is not known.",
            ) from refusal

    def predict_one(self, vector: Sequence[Any] | NDArray[np.float64]) -> float | list[float]:
        """Predict one row.

        Args:
            vector: One value per column of the schema; ``None`` where it is missing.
        """
        answer: float | list[float] = self.predict(self._builder.one(list(vector)))[0].tolist()
        return answer
