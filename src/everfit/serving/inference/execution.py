"""Execution of a version on rows whose features were looked up: on-demand transformations, encoding, prediction."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.json import Row

if TYPE_CHECKING:
    from everfit.artifact.expressions.row_pipeline import RowPipeline
    from everfit.artifact.predictor import Predictor


class Execution(Protocol):
    """Way to execute a version. Several threads may call it at once.

    :meth:`run_one` and :meth:`run` raise :class:`InvalidRequestError` if the model takes no missing values and one is
    missing, or has no finite prediction for a row.
    """

    is_remote: bool
    """True if calls wait for another process, and so do not belong in the event loop."""

    @property
    def runtime(self) -> str:
        """The runtime's name."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features of a row, those that are looked up first."""

    def run_one(self, row: Row, looked_up: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        """Return the prediction of a row and its features: a number, or each class's probability."""

    def run(self, rows: Sequence[Row], looked_up: Sequence[Sequence[Any]]) -> tuple[list[Any], list[Sequence[Any]]]:
        """Return the predictions of rows, at least one, and their features."""

    def wait(self) -> None:
        """Wait until it can execute, for a limited time."""


class LocalExecution:
    """Execution in this process."""

    is_remote = False

    def __init__(self, predictor: Predictor, pipeline: RowPipeline) -> None:
        self._predictor = predictor
        self._pipeline = pipeline
        self.runtime = predictor.runtime
        self.features = pipeline.features

    def run_one(self, row: Row, looked_up: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        """As :class:`Execution` promises."""
        used = self._pipeline.used(row, looked_up)
        value: Any = self._predictor.predict_one(self._pipeline.encode(row, used))
        total = sum(value) if type(value) is list else value
        if total - total != 0.0:  # infinite or NaN, without a function call
            raise _not_finite(total)
        return value, used

    def run(self, rows: Sequence[Row], looked_up: Sequence[Sequence[Any]]) -> tuple[list[Any], list[Sequence[Any]]]:
        """As :class:`Execution` promises."""
        used = list(map(self._pipeline.used, rows, looked_up))
        predictions = self._predictor.predict(self._pipeline.encode_all(rows, used))
        # The sum is one pass in C; that of large but finite predictions may overflow, hence the second look.
        if not isfinite(predictions.sum()) and (broken := [value for value in predictions.flat if not isfinite(value)]):
            raise _not_finite(broken[0])
        return predictions.tolist(), used

    def wait(self) -> None:
        """As :class:`Execution` promises: do nothing."""


def _not_finite(value: float) -> InvalidRequestError:
    return InvalidRequestError(
        "a row must be one for which the model has a finite prediction",
        value=str(float(value)),
        remedy="Look for a number far outside of what the model was trained on.",
    )
