"""Label delays, learnt from predictions and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.class_names import NEW_CLASSES
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.measures.competing_risks import WAITING
from everfit.measures.delays import HISTORY, Delays, delays_of
from everfit.measures.weighting import Floats


def learn_delays(
    rows: pl.DataFrame, *, as_of: datetime, classes: Sequence[object] = (), history: timedelta = HISTORY
) -> Delays:
    """Learn the distribution of label delays from the labels known at an instant.

    What was asked or known later is not used, and neither are rows asked longer ago than ``history``, which bounds the
    longest delay that can be seen. Classes are in the order of the codes, none for a regression; those that the version
    does not know are one more, the last.
    """
    seen = known_then(rows, as_of=as_of)
    if classes and (seen[LABEL] < 0).any():
        classes = (*classes, NEW_CLASSES)
    codes = class_codes(seen, classes)
    until = pl.when(pl.Series(codes) == WAITING).then(pl.lit(as_of)).otherwise(pl.col(KNOWN_AT))
    asked_ago = ages_of_s(seen, pl.lit(as_of))
    return delays_of(ages_of_s(seen, until), codes, asked_ago, classes=classes, history=history)


def known_then(rows: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """Return rows in the form of :mod:`everfit.monitoring.prediction_frame` with the labels known at an instant."""
    known = pl.col(KNOWN_AT) <= as_of
    return rows.filter(pl.col(TIME) < as_of).with_columns(
        pl.when(known).then(pl.col(LABEL)).alias(LABEL), pl.when(known).then(pl.col(KNOWN_AT)).alias(KNOWN_AT)
    )


def class_codes(rows: pl.DataFrame, classes: Sequence[object], *, as_of: datetime | None = None) -> NDArray[np.int64]:
    """Return the class of each row, 0 for every label of a regression, or :data:`WAITING`.

    All new classes together may be the last class. What was known later than ``as_of`` counts as unknown.
    """
    known = pl.col(LABEL).is_not_null() & pl.col(KNOWN_AT).is_not_null()
    if as_of is not None:
        known &= pl.col(KNOWN_AT) <= as_of
    other = len(classes) - 1 if classes and classes[-1] == NEW_CLASSES else WAITING
    code = pl.lit(0, pl.Int64)
    if classes:
        code = pl.when(pl.col(LABEL) < 0).then(other).otherwise(pl.col(LABEL).cast(pl.Int64))
    return rows.select(pl.when(known).then(code).otherwise(WAITING)).to_series().to_numpy()


def ages_of_s(rows: pl.DataFrame, until: pl.Expr) -> Floats:
    """Return seconds from event time until an instant; a label known before the event has the age 0."""
    age = (until - pl.col(TIME)).dt.total_microseconds() / 1e6
    return rows.select(age.clip(lower_bound=0.0)).to_series().to_numpy()
