"""Choice of the storage form in which an estimator on data frames predicts the same as the fitted one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everfit.artifact.equivalence import Choice, failed_proof, make_proof, no_native_form
from everfit.artifact.frame_predictor import FramePredictor
from everfit.artifact.manifest import Proof
from everfit.artifact.model_frame import FrameBuilder, canonical_rows
from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.runtimes.catalogue import NATIVE
from everfit.artifact.tolerance import coarser, relative_difference
from everfit.core.errors import EverfitError, PackageError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.predictor import Predictor
    from everfit.artifact.runtimes.runtime import Form
    from everfit.artifact.schema import InputSchema

_REAL_ROWS = 256
_LONE_ROWS = 12
_TIMED_ROWS = 9
_UNSEEN = "a text that training never saw"


@dataclass(frozen=True, kw_only=True)
class FrameReference:
    """Rows and the answers that every stored form must give on them."""

    rows: pl.DataFrame
    """Canonical rows; see :func:`everfit.artifact.model_frame.canonical_rows`."""
    expected: NDArray[np.float64]
    accepts_missing: bool


def make_frame_reference(fitted: Fitted, rows: pl.DataFrame) -> FrameReference:
    """Choose rows, and ask the fitted estimator.

    Args:
        fitted: The estimator as it was trained; its schema's ``frame`` is no matrix.
        rows: Held-back rows with the schema's columns. A spread of at most 256 of them is taken, and for every column a
            row that lacks it, one that lacks everything, and for every column of text a row with a text that training
            never saw; without those that the estimator refuses.

    Raises:
        PackageError: If the estimator cannot answer even rows without gaps.
    """
    import polars as pl

    canonical = canonical_rows(fitted.schema, rows)
    real = canonical.gather_every(max(1, len(canonical) // _REAL_ROWS)).head(_REAL_ROWS)
    gaps = _with_gaps(real)
    unseen = _with_unseen(fitted.schema, real)
    complete = real.drop_nulls()
    builder = FrameBuilder(fitted.schema)
    for parts, accepts in (([real, gaps, unseen], True), ([real, gaps], True), ([complete], False)):
        asked = pl.concat(parts)
        try:
            expected = fitted.predict(builder.from_polars(asked))
        except EverfitError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever the user's estimator raises: the next rows are tried
            reason = problem
            continue
        return FrameReference(rows=asked, expected=expected, accepts_missing=accepts)
    raise PackageError("the estimator must answer the held-back rows", value=str(reason)[:200]) from reason


def _with_gaps(real: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    first = real.head(1)
    if first.is_empty():
        first = pl.DataFrame([pl.Series(name, [None], dtype=dtype) for name, dtype in real.schema.items()])
    lacking = [first.with_columns(pl.lit(None, dtype=dtype).alias(name)) for name, dtype in real.schema.items()]
    nothing = first.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in real.schema.items())
    return pl.concat([*lacking, nothing])


def _with_unseen(schema: InputSchema, real: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    texts = [column.name for column in schema.columns if real.schema[column.name] == pl.String]
    first = real.head(1)
    return pl.concat([real.clear(), *(first.with_columns(pl.lit(_UNSEEN).alias(name)) for name in texts)])


def choose_frame_form(fitted: Fitted, reference: FrameReference, folder: Path) -> Choice:
    """Store an estimator in the first form that holds it and gives back its answers.

    Args:
        fitted: The estimator as it was trained.
        reference: Rows and answers.
        folder: Where the form's files go.

    Raises:
        PackageError: If no form gives back the fitted estimator's answers.
    """
    proofs: list[Proof] = []
    for form in NATIVE:
        proof, files = _store(form, fitted, reference, folder)
        if proof is None:
            continue
        proofs.append(proof)
        if proof.equal:
            return Choice(native=form.name, form=form.name, proofs=tuple(proofs), files=tuple(sorted(files)))
        for name in files:
            (folder / name).unlink()
    raise no_native_form(proofs)


def frame_difference(
    predictor: Predictor, schema: InputSchema, rows: pl.DataFrame, expected: NDArray[np.float64]
) -> float:
    """The largest difference of a predictor's answers from the expected ones, in units of their magnitude.

    A spread of 12 rows is asked one by one from plain values, as requests are; two at once, and all at once.

    Args:
        predictor: Takes data frames.
        schema: What it was fitted on.
        rows: Canonical rows.
        expected: The answers, shape ``(rows,)`` or ``(rows, classes)``.

    Returns:
        See :func:`everfit.artifact.tolerance.relative_difference`.
    """
    if rows.is_empty():
        return 0.0
    builder = FrameBuilder(schema)
    lone = np.unique(np.linspace(0, len(rows) - 1, _LONE_ROWS).astype(np.intp))
    alone = np.array([predictor.predict_one(values) for values in rows[lone].rows()])
    many = np.arange(max(len(rows), BATCH_ROWS)) % len(rows)
    return max(
        relative_difference(alone, expected[lone], schema.task),
        *(
            relative_difference(predictor.predict(builder.from_polars(rows[part])), expected[part], schema.task)
            for part in (lone[:2], many)
        ),
    )


def _store(form: Form, fitted: Fitted, reference: FrameReference, folder: Path) -> tuple[Proof | None, tuple[str, ...]]:
    """As in :mod:`everfit.artifact.equivalence`, with data frames."""
    rows = len(reference.rows)
    before = {path.name for path in folder.iterdir()}
    try:
        files = form.save(fitted.estimator, folder, fitted.schema)
        if not files:
            return None, ()
        native = form.load(folder, fitted.schema)
        predictor = FramePredictor(native, FrameBuilder(fitted.schema), accepts_missing=reference.accepts_missing)
        found = frame_difference(predictor, fitted.schema, reference.rows, reference.expected)
    except Exception as problem:  # noqa: BLE001 - whatever a library raises: the next form is tried, and this is kept
        for path in [path for path in folder.iterdir() if path.name not in before]:
            path.unlink()
        return failed_proof(form.name, problem, rows=rows), ()
    proof = make_proof(form.name, found, arithmetic=coarser(native.arithmetic, fitted.arithmetic), rows=rows)
    return msgspec.structs.replace(proof, row_us=_row_us(predictor, reference.rows)), files


def _row_us(predictor: Predictor, rows: pl.DataFrame) -> float:
    times = []
    for values in rows.head(_TIMED_ROWS).rows():
        started = time.perf_counter()
        predictor.predict_one(values)
        times.append(time.perf_counter() - started)
    return round(min(times) * 1e6, 1)
