"""Result of a replay: metrics of the predictions by period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.class_names import ClassValue, class_name, places_by_name
from everfit.core.columns import LABEL, TIME
from everfit.definitions.model import Model
from everfit.measures.quality import metric_for

VERSION, PREDICTION = "version", "prediction"
AGAINST = "against"
"""Column with the predictions of the version that is compared."""
Period = Literal["month", "week", "day"]
"""Period of one line of figures."""
_FORMATS: Mapping[Period, str] = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}


class Figures(Struct, frozen=True, kw_only=True):
    """Metrics of the predictions of a period, by their final labels."""

    month: str
    """The period, such as ``2013-03``, ``2013-W09`` or ``2013-03-01``; empty for the whole replay."""
    rows: int
    """Number of predictions with a final label."""
    versions: tuple[int, ...]
    """Versions whose predictions were returned."""
    live: dict[str, float]
    """Metrics of the predictions; NaN if undefined."""
    against: dict[str, float] | None
    """The same metrics of the version that is compared; ``None`` without one."""


class ReplayReport(Struct, frozen=True, kw_only=True):
    """Result of a replay."""

    model: str
    start: datetime
    end: datetime
    """Event time that was reached; a later replay continues there."""
    finished: bool
    """``True`` if the planned end was reached."""
    asked: int
    answered: int
    failed: int
    """Rows that the service refused."""
    outcomes: int
    refused_outcomes: int
    pushed: int
    """Rows of feature views that were sent."""
    refusals: tuple[str, ...]
    """The service's messages about the first few rows that it refused."""
    seconds: float
    """Duration by this machine's clock."""
    against: int | None
    """The version that is compared."""
    overall: Figures | None
    months: tuple[Figures, ...]


def figures(model: Model, predicted: pl.DataFrame, by: Period = "month") -> tuple[Figures | None, tuple[Figures, ...]]:
    """Return the figures of the whole replay, and of its periods in order.

    ``predicted`` has :data:`TIME`, :data:`LABEL`, :data:`VERSION`, :data:`PREDICTION`, and optionally :data:`AGAINST`:
    numbers, or the probability of each class by its name.
    """
    labelled = predicted.drop_nulls([LABEL, PREDICTION]).sort(TIME)
    if labelled.is_empty():
        return None, ()
    months = labelled.group_by(pl.col(TIME).dt.strftime(_FORMATS[by]), maintain_order=True)
    return _figures(model, "", labelled), tuple(_figures(model, str(month[0]), rows) for month, rows in months)


def _figures(model: Model, month: str, rows: pl.DataFrame) -> Figures:
    return Figures(
        month=month,
        rows=rows.height,
        versions=tuple(sorted(set(rows[VERSION].to_list()))),
        live=_scores(model, rows, PREDICTION),
        against=_scores(model, rows, AGAINST) if AGAINST in rows.columns else None,
    )


def _scores(model: Model, rows: pl.DataFrame, column: str) -> dict[str, float]:
    names = dict.fromkeys([model.metric, *(["roc_auc"] if model.task == "binary" else [])])
    truth, predicted = _arrays(model, rows[LABEL], rows[column])
    return {name: metric_for(name, model.task).compute(truth, predicted) for name in names}


def _arrays(model: Model, labels: pl.Series, predictions: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return truth and predictions; a class that no version knows is -1, which is scored as the worst possible."""
    if model.task == "regression":
        return labels.cast(pl.Float64).to_numpy(), predictions.cast(pl.Float64).to_numpy()
    if model.task == "binary":
        return _binary_truth(labels, model.label.positive), predictions.cast(pl.Float64).to_numpy()
    # The versions may know different classes.
    chances = predictions.struct.unnest().fill_null(0.0)
    places = {name: float(place) for place, name in enumerate(chances.columns)}
    return _places(labels, places), chances.to_numpy()


def _binary_truth(labels: pl.Series, positive: ClassValue | float | None) -> NDArray[np.float64]:
    if positive is None:
        places = places_by_name([False, True])
        return _places(labels, {name: float(place) for name, place in places.items()})
    named = class_name(positive)
    names = {name for name, place in places_by_name([False, True]).items() if place == int(positive == 1)}
    same = names if named in names else {named}
    return labels.cast(pl.String).is_in(list(same)).cast(pl.Float64).to_numpy()


def _places(labels: pl.Series, places: Mapping[str, float]) -> NDArray[np.float64]:
    texts = labels.cast(pl.String)
    return texts.replace_strict(places, default=-1.0, return_dtype=pl.Float64).to_numpy()
