"""Equivalence of a stored estimator on data frames with the fitted one, and the choice of its runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.equivalence import REAL_ROWS, first_line, relative_difference, spread
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.input_limits import InputLimits
from everfit.artifact.model_frame import FrameBuilder, FramePredictor, canonical_rows
from everfit.artifact.predictor import BATCH_ROWS, Predictor
from everfit.artifact.runtime_choice import RuntimeChoice, RuntimeTrial
from everfit.artifact.schema import InputSchema
from everfit.core.errors import EverfitError, PackageError

_LONE_ROWS = 12
_UNSEEN = "a text that training never saw"

Reference = tuple[pl.DataFrame, NDArray[np.float64]]
"""Rows as of :func:`~everfit.artifact.model_frame.canonical_rows`, and the predictions of them, shape ``(rows,)`` or
``(rows, classes)``."""


def make_frame_reference(fitted: Fitted, rows: pl.DataFrame) -> tuple[Reference, InputLimits]:
    """Choose rows, and have the fitted estimator predict them.

    A spread of at most 256 of the held-back ``rows`` is taken, and for every column a row that lacks it, one that lacks
    everything, and for every column of text a row with a text that training never saw; without those that the estimator
    refuses. Raises :class:`~everfit.core.errors.PackageError` if it cannot predict even rows without gaps.
    """
    canonical = canonical_rows(fitted.schema, rows)
    real = canonical.gather_every(max(1, len(canonical) // REAL_ROWS)).head(REAL_ROWS)
    gaps, unseen = _with_gaps(real), _with_unseen(fitted.schema, real)
    builder = FrameBuilder(fitted.schema)
    for parts, accepts in (([real, gaps, unseen], True), ([real, gaps], True), ([real.drop_nulls()], False)):
        tried = pl.concat(parts)
        try:
            expected = fitted.predict(builder.from_polars(tried))
        except EverfitError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever the user's estimator raises: the next rows are tried
            reason = problem
        else:
            return (tried, expected), InputLimits(accepts_missing=accepts)
    raise PackageError("the estimator must predict the held-back rows", value=first_line(reason)) from reason


def _with_gaps(real: pl.DataFrame) -> pl.DataFrame:
    gaps = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in real.schema.items()]
    first = real.head(1) if len(real) else pl.select(gaps)
    return pl.concat([*(first.with_columns(gap) for gap in gaps), first.with_columns(gaps)])


def _with_unseen(schema: InputSchema, real: pl.DataFrame) -> pl.DataFrame:
    texts = [name for name in schema.names if real.schema[name] == pl.String]
    return pl.concat([real.clear(), *(real.head(1).with_columns(pl.lit(_UNSEEN).alias(name)) for name in texts)])


def frame_difference(predictor: Predictor, schema: InputSchema, reference: Reference) -> float:
    """Largest relative difference of the predictions of a predictor on data frames from the expected ones.

    A spread of 12 rows is predicted one by one from plain values, as requests are; two at once, and all at once.
    """
    rows, expected = reference
    if rows.is_empty():
        return 0.0
    builder = FrameBuilder(schema)
    lone = spread(len(rows), _LONE_ROWS)
    alone = np.array([predictor.predict_one(values) for values in rows[lone].rows()])
    many = np.arange(max(len(rows), BATCH_ROWS)) % len(rows)
    together = [(predictor.predict(builder.from_polars(rows[part])), expected[part]) for part in (lone[:2], many)]
    return max(relative_difference(*both, schema.task) for both in [(alone, expected[lone]), *together])


def choose_frame_runtime(fitted: Fitted, reference: Reference, limits: InputLimits, folder: Path) -> RuntimeChoice:
    """Store an estimator in the first native runtime that holds it and gives back its predictions."""
    schema = fitted.schema
    trial = RuntimeTrial(
        fitted=fitted,
        folder=folder,
        vectors=reference[0].rows(),
        measure=lambda predictor: frame_difference(predictor, schema, reference),
        wrap=lambda predictor: FramePredictor(predictor, schema, limits),
    )
    proofs = trial.prove_native()
    return RuntimeChoice(native=proofs[-1].runtime, runtime=proofs[-1].runtime, proofs=tuple(proofs))
