"""A version's life after it shipped, made by the real parts: what it learnt from, and what it then answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from everfit.artifact.encode import encode_frame
from everfit.core.columns import ID, KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.evidence import ID as EVENT
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.features.history import build_frame
from everfit.monitoring.reference import ReferenceProfile, reference_of
from everfit.store.reader import Reader
from everfit.training.profile import profile_rows
from everfit.training.refit import refit
from everfit.training.train import train

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Life:
    """A version that is never replaced."""

    reference: ReferenceProfile
    rows: pl.DataFrame
    """Every question after it shipped, in monitoring's form, with what became of it in the end."""

    def known(self, as_of: datetime) -> pl.DataFrame:
        """What could be seen at an instant."""
        later = pl.col(KNOWN_AT) > as_of
        return self.rows.filter(pl.col(TIME) <= as_of).with_columns(
            pl.when(~later).then(pl.col(column)).alias(column) for column in (LABEL, KNOWN_AT)
        )


def live(model: Model, reader: Reader, *, start: datetime | None, shipped: datetime, end: datetime) -> Life:
    """Learn from what was known when it shipped, and answer everything that was asked until the end."""
    settings = TrainingSettings(trials=0, bootstrap=100)
    known = build_frame(model, reader, start=start, as_of=shipped)
    candidate = train(model, known, settings=settings)
    fitted = refit(model, known, candidate)
    window = DAY
    reference = reference_of(
        profile_rows(known, candidate, extra=model.slices),
        candidate.fitted.schema,
        metric=model.metric,
        importance={},
        window=window,
    )
    later = build_frame(model, reader, start=shipped, as_of=end).data.filter(pl.col(TIME) >= shipped)
    columns = list(dict.fromkeys([*known.features, *model.slices]))
    rows = later.select(
        pl.col(EVENT).cast(pl.String).alias(ID),
        pl.col(TIME).alias(TIME),
        pl.col(TIME).alias(RECORDED_AT),
        pl.lit(1, pl.Int64).alias(VERSION),
        pl.lit("champion").alias(ROUTE),
        pl.Series(PREDICTION, fitted.predict(encode_frame(fitted.schema, later))),
        pl.col(LABEL).cast(pl.Float64).alias(LABEL),
        pl.col(KNOWN_AT).alias(KNOWN_AT),
        *columns,
    )
    return Life(reference, rows.sort(TIME, ID))
