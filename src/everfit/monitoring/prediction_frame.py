"""Frame of predictions and labels that monitoring evaluates, from the journal or from a profile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.schema import InputSchema
from everfit.core.class_names import places_by_name
from everfit.core.columns import ARRIVAL, ID, KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.evidence import Task

NEW_CLASS = "new_class"
"""The label as text where it is none of the version's classes."""
MARK = "mark"
"""A number for each row of the log that no other is likely to have; only where windows are counted once and for all."""
UNKNOWN = -1.0
"""The label of a row whose class is none of the version's."""


def prediction_columns(task: Task, classes: Sequence[object]) -> tuple[str, ...]:
    """Return the names of the columns of predictions."""
    return tuple(f"{PREDICTION}.{value}" for value in classes) if task == "multiclass" else (PREDICTION,)


def predictions_of(rows: pl.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return the predictions, shape ``(rows,)``, or ``(rows, classes)`` where there is more than one column.

    A version has no column for a class that it does not know: where it gave other classes a chance, that class has 0.
    """
    if len(columns) == 1:
        return rows[columns[0]].cast(pl.Float64).to_numpy()
    return rows.select(chances(rows.columns, columns)).to_numpy()


def chances(there: Sequence[str], columns: Sequence[str]) -> list[pl.Expr]:
    """Return the columns wanted, of the chance of each class, from those of versions with different classes.

    A chance is 0 for a class that a version does not know, and null where it gave no class a chance.
    """
    present = [name for name in columns if name in there]
    given = pl.any_horizontal(pl.col(name).is_not_null() for name in present) if present else pl.lit(False)
    known = {name: pl.col(name).cast(pl.Float64).fill_null(0.0) for name in present}
    return [pl.when(given).then(known.get(name, 0.0)).alias(name) for name in columns]


def truth_codes(values: pl.Series, task: Task, classes: Sequence[Any]) -> pl.Series:
    """Return labels as numbers: 0 or 1, the class's place, or the value; -1 for another class, null without one.

    Values are text as the journal keeps it, or of the label's own type; a regression has no classes.
    """
    if task == "regression":
        return values.cast(pl.Float64, strict=False).alias(LABEL)
    text = _as_text(values)
    places = {name: float(place) for name, place in places_by_name(classes).items()}
    found = text.replace_strict(places, default=UNKNOWN, return_dtype=pl.Float64)
    return found.set(text.is_null(), None).alias(LABEL)


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean:
        return values.cast(pl.Int8).replace_strict({0: "false", 1: "true"}, default=None, return_dtype=pl.String)
    return values.cast(pl.String)


def standard_rows(joined: pl.DataFrame, schema: InputSchema, *, slices: Sequence[str] = ()) -> pl.DataFrame:
    """Return what :func:`everfit.journal.label_join.join_labels` returns in monitoring's form, ordered by event time.

    It has :data:`ID`, :data:`TIME`, :data:`RECORDED_AT`, :data:`VERSION`, :data:`ROUTE`, the predictions,
    :data:`LABEL`, :data:`NEW_CLASS`, :data:`KNOWN_AT`, then the features under the schema's names and the slices, and
    :data:`MARK` and :data:`ARRIVAL` where they are given.
    """
    there = set(joined.columns)
    answers = prediction_columns(schema.task, schema.classes)

    def column(name: str) -> pl.Expr:
        for prefix in ("feature.", "request."):
            if f"{prefix}{name}" in there:
                return pl.col(f"{prefix}{name}").alias(name)
        return pl.lit(None).alias(name)

    truth = truth_codes(joined[LABEL], schema.task, schema.classes)
    new = pl.when(truth < 0).then(_as_text(joined[LABEL])) if schema.classes else pl.lit(None, pl.String)
    return joined.select(
        ID,
        TIME,
        RECORDED_AT,
        VERSION,
        ROUTE,
        *(pl.col(one) if one in there else pl.lit(None, pl.Float64).alias(one) for one in answers),
        truth,
        new.alias(NEW_CLASS),
        KNOWN_AT,
        *(column(name) for name in dict.fromkeys((*schema.names, *slices))),
        *(name for name in (MARK, ARRIVAL) if name in there),
    ).sort(TIME, ID)


def by_time(rows: pl.DataFrame, every: timedelta | str) -> list[tuple[datetime, pl.DataFrame]]:
    """Return the rows of each length of event time with its start, oldest first; a row without a time is left out."""
    dated = rows.filter(pl.col(TIME).is_not_null()).with_columns(pl.col(TIME).dt.truncate(every).alias("__start"))
    parts = dated.partition_by("__start", as_dict=True, include_key=False)
    return sorted(((start, part) for (start,), part in parts.items()), key=lambda one: one[0])
