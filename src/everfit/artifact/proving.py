"""Which form of an estimator serves: the fastest that gives the answers of the one that was fitted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from everfit.artifact.forms.catalogue import ACCELERATED, NATIVE
from everfit.artifact.manifest import Proof
from everfit.artifact.predictor import BATCH_ROWS
from everfit.core.errors import PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted import Fitted
    from everfit.artifact.forms.form import Form
    from everfit.artifact.predictor import Predictor

TOLERANCE = 1e-6
_REAL_ROWS = 256
_LONE_ROWS = 32
_TIMING_BLOCKS = 15
_TIMING_SECONDS = 0.004


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Rows and the answers that every form must give on them."""

    matrix: NDArray[np.float64]
    expected: NDArray[np.float64]
    accepts_missing: bool


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The forms that are kept, and what was found about all."""

    native: str
    form: str
    proofs: tuple[Proof, ...]
    files: tuple[str, ...]


def make_reference(fitted: Fitted, matrix: NDArray[np.float64]) -> Reference:
    """Choose rows, and ask the fitted estimator.

    Args:
        fitted: The estimator as it was trained.
        matrix: Held-back rows, float64 of shape ``(rows, columns)``. A spread of at most 256 of them is taken, and for
            every column a row that lacks it, and one that lacks everything.

    Raises:
        PackageError: If the estimator cannot answer even rows without gaps.
    """
    real = matrix[np.unique(np.linspace(0, len(matrix) - 1, _REAL_ROWS).astype(np.intp))] if len(matrix) else matrix
    columns = matrix.shape[1]
    gaps = np.repeat(real[:1], columns + 1, axis=0) if len(real) else np.full((columns + 1, columns), np.nan)
    np.fill_diagonal(gaps[:columns], np.nan)
    gaps[columns:] = np.nan
    whole = np.ascontiguousarray(np.vstack([real, gaps]))
    complete = whole[~np.isnan(whole).any(axis=1)]
    for rows, accepts in ((whole, True), (complete, False)):
        try:
            return Reference(matrix=rows, expected=fitted.predict(rows), accepts_missing=accepts)
        except (ValueError, TypeError, ArithmeticError) as problem:
            reason = problem
    raise PackageError("the estimator must answer the held-back rows", value=str(reason)[:200]) from reason


def choose_form(fitted: Fitted, reference: Reference, folder: Path) -> Choice:
    """Store an estimator in every form that can hold it, and keep the native one and the fastest.

    Args:
        fitted: The estimator as it was trained.
        reference: Rows and answers.
        folder: Where the forms' files go; those of forms that are not used are removed again.

    Raises:
        PackageError: If no form gives back the fitted estimator's answers.
    """
    proofs: list[Proof] = []
    native, files = _store_native(fitted, reference, folder, proofs)
    kept = {native.name: files}
    for form in ACCELERATED:
        written = form.save(fitted.estimator, folder, fitted.schema)
        if not written:
            continue
        proofs.append(_prove(form, fitted, reference, folder))
        kept[form.name] = written
    best = min((proof for proof in proofs if proof.equal), key=lambda proof: proof.row_us or 0.0)
    used = {*files, *kept[best.form]}
    for name in {name for written in kept.values() for name in written} - used:
        (folder / name).unlink()
    return Choice(native=native.name, form=best.form, proofs=tuple(proofs), files=tuple(sorted(used)))


def difference(predictor: Predictor, matrix: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """The largest absolute difference of a predictor's answers from the expected ones.

    A spread of 32 rows is asked one by one, two at once, and all at once, repeated until they are a large batch.

    Args:
        predictor: Any predictor.
        matrix: Rows, float64 of shape ``(rows, columns)``.
        expected: The answers, shape ``(rows,)`` or ``(rows, classes)``.

    Returns:
        Infinity if the shapes differ, or one is NaN where the other is not.
    """
    if not len(matrix):
        return 0.0
    lone = np.unique(np.linspace(0, len(matrix) - 1, _LONE_ROWS).astype(np.intp))
    alone = np.array([predictor.predict_one(row.tolist()) for row in matrix[lone]])
    many = np.arange(max(len(matrix), BATCH_ROWS)) % len(matrix)
    return max(
        _distance(alone, expected[lone]),
        *(_distance(predictor.predict(matrix[rows]), expected[rows]) for rows in (lone[:2], many)),
    )


def is_equal(found: float, expected: NDArray[np.float64]) -> bool:
    """Whether a difference is small enough: 1e-6, or 1e-6 of the largest answer where answers exceed 1.

    Args:
        found: The largest absolute difference.
        expected: The answers it was measured on.
    """
    largest = float(np.nan_to_num(np.abs(expected)).max(initial=0.0))
    return found <= TOLERANCE * max(1.0, largest)


def _distance(answers: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    if answers.shape != expected.shape or (np.isnan(answers) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(answers - expected), nan=0.0).max(initial=0.0))


def _store_native(
    fitted: Fitted, reference: Reference, folder: Path, proofs: list[Proof]
) -> tuple[Form, tuple[str, ...]]:
    for form in NATIVE:
        files = form.save(fitted.estimator, folder, fitted.schema)
        if not files:
            continue
        proof = _prove(form, fitted, reference, folder)
        proofs.append(proof)
        if proof.equal:
            return form, files
        for name in files:
            (folder / name).unlink()
    found = [f"{proof.form}: {proof.remark}" for proof in proofs]
    raise PackageError("a form must give back the fitted estimator's answers", value=found)


def _prove(form: Form, fitted: Fitted, reference: Reference, folder: Path) -> Proof:
    rows = len(reference.matrix)
    try:
        predictor = form.load(folder, fitted.schema)
        found = difference(predictor, reference.matrix, reference.expected)
    except (PackageError, ValueError, TypeError, AttributeError, RuntimeError, OSError, ImportError) as problem:
        return Proof(
            form=form.name, equal=False, difference=None, rows=rows, row_us=None, remark=f"cannot answer: {problem}"
        )
    equal = rows > 0 and is_equal(found, reference.expected)
    return Proof(
        form=form.name,
        equal=equal,
        difference=found if np.isfinite(found) else None,
        rows=rows,
        row_us=_row_us(predictor, reference.matrix) if rows else None,
        remark="" if equal else "its answers differ from the fitted estimator's",
    )


def _row_us(predictor: Predictor, matrix: NDArray[np.float64]) -> float:
    vectors = [row.tolist() for row in matrix[:32]]
    return round(median(_timed(predictor, vectors) for _ in range(_TIMING_BLOCKS)), 1)


def _timed(predictor: Predictor, vectors: Sequence[list[float]]) -> float:
    started, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _TIMING_SECONDS:
        predictor.predict_one(vectors[calls % len(vectors)])
        calls += 1
    return spent / calls * 1e6
