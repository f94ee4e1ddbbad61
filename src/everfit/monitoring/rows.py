"""Rows in the one form that monitoring looks at, whether they come from the journal or from a profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.evidence import Task

if TYPE_CHECKING:
    from everfit.artifact.schema import InputSchema

ID, ASKED, RECORDED, VERSION, ROUTE = "id", "asked_at", "recorded_at", "version", "route"
TRUTH, KNOWN = "truth", "known_at"
MARK = "mark"
"""A number for each row of the log that no other is likely to have; only where windows are counted once and for all."""
PREDICTION = "prediction"
"""A column for binary models and regressions; ``prediction.<class>`` for each class of a multiclass model."""


def prediction_columns(task: Task, classes: Sequence[object]) -> tuple[str, ...]:
    """The names of the columns that hold the answers."""
    return tuple(f"{PREDICTION}.{each}" for each in classes) if task == "multiclass" else (PREDICTION,)


def predictions_of(rows: pl.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """The answers, shape ``(rows,)``, or ``(rows, classes)`` where there is more than one column."""
    if len(columns) == 1:
        return rows[columns[0]].cast(pl.Float64).to_numpy()
    return rows.select(pl.col(columns).cast(pl.Float64)).to_numpy()


def truth_codes(values: pl.Series, task: Task, classes: Sequence[Any]) -> pl.Series:
    """Outcomes as numbers: 0 or 1, the class's place, or the value; null where there is none, or none of the classes.

    Args:
        values: Text as the journal keeps it, or the label's own type.
        task: The model's.
        classes: The label's values in the order of the schema; empty for a regression.
    """
    if task == "regression":
        return values.cast(pl.Float64, strict=False).alias(TRUTH)
    names = {_text(each): float(place) for place, each in enumerate(classes)}
    found = _as_text(values).replace_strict(names, default=None, return_dtype=pl.Float64)
    return found.alias(TRUTH)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean:
        return values.cast(pl.Int8).replace_strict({0: "false", 1: "true"}, default=None, return_dtype=pl.String)
    return values.cast(pl.String)


def standard_rows(joined: pl.DataFrame, schema: InputSchema, *, slices: Sequence[str] = ()) -> pl.DataFrame:
    """Predictions of the journal, joined with their outcomes, in monitoring's form.

    Args:
        joined: As :func:`everfit.journal.outcomes.join_outcomes` gives them.
        schema: The version's.
        slices: Columns to keep beside the features.

    Returns:
        :data:`ID`, :data:`ASKED`, :data:`RECORDED`, :data:`VERSION`, :data:`ROUTE`, the answers, :data:`TRUTH`,
        :data:`KNOWN`, then the features under the schema's names and the slices, and :data:`MARK` where it is given;
        ordered by the time of asking.
    """
    there = set(joined.columns)
    answers = prediction_columns(schema.task, schema.classes)

    def column(name: str) -> pl.Expr:
        for prefix in ("feature.", "request."):
            if f"{prefix}{name}" in there:
                return pl.col(f"{prefix}{name}").alias(name)
        return pl.lit(None).alias(name)

    names = dict.fromkeys((*schema.names, *slices))
    return joined.select(
        pl.col("id").alias(ID),
        pl.col("event_time").alias(ASKED),
        pl.col("recorded_at").alias(RECORDED),
        pl.col("version").alias(VERSION),
        pl.col("route").alias(ROUTE),
        *(pl.col(each) if each in there else pl.lit(None, pl.Float64).alias(each) for each in answers),
        truth_codes(joined["outcome"], schema.task, schema.classes),
        pl.col("outcome_known_at").alias(KNOWN),
        *(column(name) for name in names),
        *([MARK] if MARK in there else []),
    ).sort(ASKED, ID)
