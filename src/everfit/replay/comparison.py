"""Predictions of one version for all events of a replay, as if the model had never been retrained."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from everfit.artifact.package import Package, open_package
from everfit.core.class_names import class_name
from everfit.core.columns import TIME
from everfit.core.evidence import ID
from everfit.core.progress import Progress
from everfit.definitions.model import Model
from everfit.features.history import features_of
from everfit.replay.history import History
from everfit.replay.result import AGAINST
from everfit.system import System

_CHUNK = timedelta(days=30)


def predictions_of_version(
    system: System,
    model: Model,
    version: int,
    history: History,
    start: datetime,
    end: datetime,
    *,
    slice_length: timedelta,
    progress: Progress,
) -> pl.DataFrame:
    """Predict the events of ``[start, end)`` with a version's package.

    Its features are those that were known at the beginning of each event's slice, as in the online store during the
    replay: a version that predicted all events is compared with itself. Columns:
    :data:`~everfit.core.evidence.ID` and :data:`~everfit.replay.result.AGAINST`, in the service's form.
    """
    package = open_package(system.registry.fetch(system.registry.version(model.name, version)), trust=system.trust)
    count = -((start - end) // _CHUNK)
    progress.start("Comparing", count)
    parts = []
    for number in range(count):
        first = start + number * _CHUNK
        events = history.events(first, min(first + _CHUNK, end))
        if not events.is_empty():
            into = (pl.col(TIME) - start).dt.total_microseconds() % (slice_length // timedelta(microseconds=1))
            known = pl.col(TIME) - pl.duration(microseconds=into)
            parts.append(_predictions(model, history, package, events, known=known, as_of=end))
        progress.advance("Comparing")
    progress.finish("Comparing", note=f"with version {version}")
    return pl.concat(parts) if parts else pl.DataFrame(schema={ID: pl.String, AGAINST: pl.Float64})


def _predictions(
    model: Model, history: History, package: Package, events: pl.DataFrame, *, known: pl.Expr, as_of: datetime
) -> pl.DataFrame:
    request = events.select(known.alias(TIME), *(name for name in model.request if name != TIME))
    rows = pl.concat([events, features_of(model, history.reader, request, as_of=as_of)], how="horizontal")
    predicted = package.predictor().predict(package.transform(rows))
    if predicted.ndim == 1:
        return pl.DataFrame({ID: events[ID], AGAINST: predicted})
    chances = pl.DataFrame(predicted, schema=[class_name(value) for value in package.schema.classes])
    return pl.DataFrame([events[ID], chances.to_struct(AGAINST)])
