"""Equivalence of a stored estimator on data frames with the fitted one, and the choice of its runtime."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.equivalence import first_line, spread
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.frame_predictor import FramePredictor
from everfit.artifact.model_frame import FrameBuilder, canonical_rows
from everfit.artifact.predictor import BATCH_ROWS, Predictor
from everfit.artifact.runtime_choice import RuntimeChoice, RuntimeTrial
from everfit.artifact.schema import InputSchema
from everfit.artifact.tolerance import relative_difference
from everfit.core.errors import EverfitError, PackageError

_REAL_ROWS = 256
_LONE_ROWS = 12
_TIMED_ROWS = 9
_UNSEEN = "a text that training never saw"


@dataclass(frozen=True, kw_only=True)
class FrameReference:
    """Rows and the predictions that every stored form must give on them."""

    rows: pl.DataFrame
    """Canonical rows; see :func:`everfit.artifact.model_frame.canonical_rows`."""
    expected: NDArray[np.float64]
    accepts_missing: bool


def make_frame_reference(fitted: Fitted, rows: pl.DataFrame) -> FrameReference:
    """Choose rows, and have the fitted estimator predict them.

    Args:
        fitted: The estimator as it was trained; its schema's ``frame`` is no matrix.
        rows: Held-back rows with the schema's columns. A spread of at most 256 of them is taken, and for every column a
            row that lacks it, one that lacks everything, and for every column of text a row with a text that training
            never saw; without those that the estimator refuses.

    Raises:
        PackageError: If the estimator cannot predict even rows without gaps.
    """
    canonical = canonical_rows(fitted.schema, rows)
    real = canonical.gather_every(max(1, len(canonical) // _REAL_ROWS)).head(_REAL_ROWS)
    gaps = _with_gaps(real)
    unseen = _with_unseen(fitted.schema, real)
    complete = real.drop_nulls()
    builder = FrameBuilder(fitted.schema)
    for parts, accepts in (([real, gaps, unseen], True), ([real, gaps], True), ([complete], False)):
        tried = pl.concat(parts)
        try:
            expected = fitted.predict(builder.from_polars(tried))
        except EverfitError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever the user's estimator raises: the next rows are tried
            reason = problem
            continue
        return FrameReference(rows=tried, expected=expected, accepts_missing=accepts)
    raise PackageError("the estimator must predict the held-back rows", value=first_line(reason)) from reason


def _with_gaps(real: pl.DataFrame) -> pl.DataFrame:
    first = real.head(1)
    if first.is_empty():
        first = pl.DataFrame([pl.Series(name, [None], dtype=dtype) for name, dtype in real.schema.items()])
    lacking = [first.with_columns(pl.lit(None, dtype=dtype).alias(name)) for name, dtype in real.schema.items()]
    nothing = first.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in real.schema.items())
    return pl.concat([*lacking, nothing])


def _with_unseen(schema: InputSchema, real: pl.DataFrame) -> pl.DataFrame:
    texts = [column.name for column in schema.columns if real.schema[column.name] == pl.String]
    first = real.head(1)
    return pl.concat([real.clear(), *(first.with_columns(pl.lit(_UNSEEN).alias(name)) for name in texts)])


def on_frames(predictor: Predictor, schema: InputSchema, *, accepts_missing: bool) -> FramePredictor:
    """Let a predictor take rows and canonical frames, from which its own data frames are built."""
    return FramePredictor(predictor, FrameBuilder(schema), accepts_missing=accepts_missing)


def frame_difference(
    predictor: Predictor, schema: InputSchema, rows: pl.DataFrame, expected: NDArray[np.float64]
) -> float:
    """Largest difference of a predictor's predictions from the expected ones, in units of their magnitude.

    A spread of 12 rows is predicted one by one from plain values, as requests are; two at once, and all at once.

    Args:
        predictor: Takes data frames.
        schema: Schema of its training.
        rows: Canonical rows.
        expected: The predictions, shape ``(rows,)`` or ``(rows, classes)``.

    Returns:
        See :func:`everfit.artifact.tolerance.relative_difference`.
    """
    if rows.is_empty():
        return 0.0
    builder = FrameBuilder(schema)
    lone = spread(len(rows), _LONE_ROWS)
    alone = np.array([predictor.predict_one(values) for values in rows[lone].rows()])
    many = np.arange(max(len(rows), BATCH_ROWS)) % len(rows)
    return max(
        relative_difference(alone, expected[lone], schema.task),
        *(
            relative_difference(predictor.predict(builder.from_polars(rows[part])), expected[part], schema.task)
            for part in (lone[:2], many)
        ),
    )


def choose_frame_runtime(fitted: Fitted, reference: FrameReference, folder: Path) -> RuntimeChoice:
    """Store an estimator in the first native runtime that holds it and gives back its predictions.

    Raises:
        PackageError: If no runtime gives back the fitted estimator's predictions.
    """
    schema, rows = fitted.schema, reference.rows
    trial = RuntimeTrial(
        fitted=fitted,
        folder=folder,
        rows=len(rows),
        load=lambda runtime: on_frames(runtime.load(folder, schema), schema, accepts_missing=reference.accepts_missing),
        measure=lambda predictor: frame_difference(predictor, schema, rows, reference.expected),
        time_row=lambda predictor: _row_us(predictor, rows),
    )
    return trial.store_native()[0]


def _row_us(predictor: Predictor, rows: pl.DataFrame) -> float:
    times = []
    for values in rows.head(_TIMED_ROWS).rows():
        started = time.perf_counter()
        predictor.predict_one(values)
        times.append(time.perf_counter() - started)
    return round(min(times) * 1e6, 1)
