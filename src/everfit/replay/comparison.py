"""What one version would have answered to all of a replay's questions: the model that is never retrained."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from everfit.artifact.package import open_package
from everfit.core.class_names import class_name
from everfit.core.columns import TIME
from everfit.core.evidence import ID
from everfit.core.progress import SILENT, Progress
from everfit.features.history import features_of
from everfit.replay.result import AGAINST

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.definitions.model import Model
    from everfit.replay.history import History
    from everfit.system import System

_STRETCH = timedelta(days=30)
_TASK = "Comparing"


def answers_of_version(
    system: System,
    model: Model,
    version: int,
    history: History,
    *,
    start: datetime,
    end: datetime,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Predict the questions of ``[start, end)`` with a version's own package.

    Its features come from history as they were known at each question's own instant, without the lag that a replay's
    step adds: the comparison favours this version, never the live ones.

    Returns:
        :data:`~everfit.core.evidence.ID` and :data:`~everfit.replay.result.AGAINST`, as the service answers.

    Raises:
        UnknownVersionError: If there is no such version.
        PackageError: If its package cannot be used.
        SourceError: If a source cannot be read.
    """
    package = open_package(system.registry.fetch(system.registry.version(model.name, version)), trust=system.trust)
    count = -((start - end) // _STRETCH)
    progress.start(_TASK, count)
    parts = []
    for number in range(count):
        first = start + number * _STRETCH
        asked = history.asked(first, min(first + _STRETCH, end))
        if not asked.is_empty():
            parts.append(_answers(model, history, package, asked, as_of=end))
        progress.advance(_TASK)
    progress.finish(_TASK, note=f"with version {version}")
    return pl.concat(parts) if parts else pl.DataFrame(schema={ID: pl.String, AGAINST: pl.Float64})


def _answers(model: Model, history: History, package: Package, asked: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    request = asked.select(TIME, *(name for name in model.request if name != TIME))
    rows = pl.concat([asked, features_of(model, history.reader, request, as_of=as_of)], how="horizontal")
    predicted = package.predictor().predict(package.transform(rows))
    if predicted.ndim == 1:
        return pl.DataFrame({ID: asked[ID], AGAINST: predicted})
    classes = [class_name(value) for value in package.schema.classes]
    chances = pl.DataFrame(predicted, schema=classes).to_struct(AGAINST)
    return pl.DataFrame([asked[ID], chances])
