"""Prediction by a version that may fail on some of many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from everfit.core.errors import StoreError
from everfit.serving.inference.served_model import ReusedFeatures, RowPredictions, ServedModel
from everfit.serving.protocols.json import Row


class PartialPredictions(NamedTuple):
    """Predictions and failures; together every row once."""

    predicted: list[tuple[list[int], RowPredictions]]
    """Places of rows, and their predictions."""
    failed: dict[int, Exception]
    """The exception, by the place of the row."""


def predict_partially(
    model: ServedModel, rows: Sequence[Row], *, now_us: int, reused: Sequence[ReusedFeatures] | None = None
) -> PartialPredictions:
    """Predict all rows at once if possible; on a failure bisect, until the failing rows are alone.

    Arguments are those of :meth:`everfit.serving.inference.served_model.ServedModel.predict`.
    """
    predicted: list[tuple[list[int], RowPredictions]] = []
    failed: dict[int, Exception] = {}
    waiting = [list(range(len(rows)))]
    while waiting:
        places = waiting.pop()
        try:
            own = None if reused is None else [reused[place] for place in places]
            predicted.append((places, model.predict([rows[place] for place in places], now_us=now_us, reused=own)))
        except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: returned
            half = len(places) // 2
            if isinstance(error, StoreError):  # no row's fault; the store is not queried again for each
                failed.update(dict.fromkeys(places, error))
            elif half:
                waiting += [places[half:], places[:half]]
            else:
                failed[places[0]] = error
    return PartialPredictions(predicted, failed)
