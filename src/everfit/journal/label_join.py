"""The label join: predictions with their labels, as they were known at an instant. Pure functions of frames.

There are two sources of labels: outcomes that were reported to the service, with the columns of
:data:`everfit.journal.logs.OUTCOME`, and those that were found in the events' source, with the same columns. What was
reported counts. An ``as_of`` without a time zone raises :class:`TimestampError`.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from everfit.core.columns import ID, KNOWN_AT, LABEL, RECORDED_AT, ROUTE
from everfit.core.errors import TimestampError
from everfit.store.lake import PLACE, SEGMENT
from everfit.store.timestamps import instant_literal


def latest_outcomes(outcomes: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """Return the reported outcome of every id, as it was known.

    Of several reports of an id the last recorded counts. If that took the outcome back, there is none. Columns are
    ``id``, ``value``, ``known_at`` and ``recorded_at``; every id is there once at most.
    """
    moment = _moment(as_of)
    known = outcomes.filter(pl.col("recorded_at") <= moment, pl.col("known_at") <= moment)
    # Few are corrected, and sorting is dear.
    is_repeated = pl.col("id").is_duplicated()
    last = known.filter(is_repeated).sort("recorded_at", SEGMENT, PLACE).unique("id", keep="last", maintain_order=True)
    found = pl.concat([known.filter(~is_repeated), last]).filter(pl.col("value").is_not_null())
    return found.select("id", "value", "known_at", "recorded_at")


def known_labels(outcomes: pl.DataFrame, source: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Return the label of every id that has one, as it was known.

    A reported outcome counts more than the source's label, even if that became known later. Of several labels of the
    source the last that became known counts; of those that became known together the last that was found, and of those
    that were found together the greatest as text. Columns are ``id``, ``label`` as text and ``label_known_at``; every
    id is there once.
    """
    reported = latest_outcomes(outcomes.lazy(), as_of).drop("recorded_at").collect()
    labels = source.filter(pl.col("known_at") <= _moment(as_of))
    repeated = labels.filter(pl.col(ID).is_duplicated())
    if repeated.height:
        last = repeated.sort("known_at", "recorded_at", "value").unique(ID, keep="last", maintain_order=True)
        labels = pl.concat([labels.filter(~pl.col(ID).is_duplicated()), last])
    labels = labels.select(ID, "value", "known_at")
    if reported.height:
        labels = labels.join(reported, on=ID, how="anti")
    both = pl.concat([reported, labels], how="diagonal_relaxed")
    return both.select(ID, pl.col("value").alias(LABEL), pl.col("known_at").alias(KNOWN_AT))


def join_labels(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return predictions with the columns of :func:`known_labels`, null where none was known; in their order."""
    return predictions.join(labels, on=ID, how="left", maintain_order="left")


def repeated_reports(
    outcomes: pl.DataFrame, source: pl.DataFrame, predictions: pl.DataFrame, as_of: datetime
) -> pl.DataFrame | None:
    """Return all reports of labels, ``id`` and ``value``, corrections among them; ``None`` if none can be repeated.

    An outcome that was reported through the API and is in the source as well counts as one report. Labels of other
    events than those of ``predictions`` are left out.
    """
    reported = outcomes.filter(pl.col("recorded_at") <= _moment(as_of)).select(ID, "value")
    if not reported.height and source[ID].n_unique() == source.height:
        return None
    known = source.filter(pl.col("known_at") <= _moment(as_of))
    labels = known.join(predictions.select(ID), on=ID, how="semi").select(ID, "value")
    return pl.concat([reported, labels.join(reported, on=[ID, "value"], how="anti")])


def first_predictions(predictions: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """Return the predictions that had been made; an id that was requested twice counts once for each route, the first.

    Columns are :data:`everfit.journal.prediction_rows.BASE`, and any others.
    """
    return (
        predictions.filter(pl.col(RECORDED_AT) <= _moment(as_of))
        .sort(RECORDED_AT, SEGMENT, PLACE, "row")
        .unique([ID, ROUTE], keep="first", maintain_order=True)
    )


def _moment(as_of: datetime) -> pl.Expr:
    if as_of.tzinfo is None:
        raise TimestampError("as_of must have a time zone", value=as_of, remedy="Give it tzinfo=UTC.")
    return instant_literal(as_of)
