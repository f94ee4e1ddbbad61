"""Choice of the runtime that serves an estimator: the fastest that predicts what the fitted estimator predicts."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everfit.artifact.manifest import Proof
from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.probes import make_probes
from everfit.artifact.runtimes.catalogue import ACCELERATED, NATIVE
from everfit.artifact.tolerance import FLOAT32_MAX, TOLERANCES, coarser, relative_difference
from everfit.core.errors import PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.predictor import Predictor
    from everfit.artifact.runtimes.runtime import Form
    from everfit.core.evidence import Arithmetic, Task

    Floats = NDArray[np.float64]


_REAL_ROWS = 256
LONE_ROWS = 32
_PROOF_ROWS = 50_000
_TIMING_BLOCKS = 15
_TIMING_SECONDS = 0.004

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Rows and the fitted estimator's predictions of them, which every runtime must give.

    The estimator is asked for all rows at once, for some of them one by one, and for two: the last digits may differ
    between the three, and a runtime is compared like with like.
    """

    matrix: Floats
    """Shape ``(rows, columns)``."""
    expected: Floats
    """Shape ``(rows,)`` or ``(rows, classes)``."""
    alone: Floats
    """Of :func:`spread` of 32 rows, one by one."""
    pair: Floats
    """Of the first two of these, both at once."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of an estimator's inputs; rows outside them are refused."""

    accepts_missing: bool
    largest: float | None
    """The largest magnitude of a number that it takes; ``None`` if it takes any."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The forms that are kept, and what was found about all."""

    native: str
    form: str
    proofs: tuple[Proof, ...]
    files: tuple[str, ...]


def spread(rows: int, most: int) -> NDArray[np.intp]:
    """Places of at most so many rows, evenly spread over all."""
    return np.unique(np.linspace(0, rows - 1, most).astype(np.intp)) if rows else np.empty(0, dtype=np.intp)


def make_reference(fitted: Fitted, matrix: Floats) -> tuple[Reference, Limits]:
    """Choose rows, have the fitted estimator predict them, and find out which rows it refuses.

    Args:
        fitted: The estimator as it was trained.
        matrix: Held-back rows, float64 of shape ``(rows, columns)``. A spread of at most 256 of them is taken, and for
            every column a row that lacks it, and one that lacks everything.

    Raises:
        PackageError: If the estimator cannot predict even rows without gaps, or there are none.
    """
    real = matrix[spread(len(matrix), _REAL_ROWS)]
    columns = matrix.shape[1]
    gaps = np.repeat(real[:1], columns + 1, axis=0) if len(real) else np.full((columns + 1, columns), np.nan)
    np.fill_diagonal(gaps[:columns], np.nan)
    gaps[columns:] = np.nan
    whole = np.ascontiguousarray(np.vstack([real, gaps]))
    complete = whole[~np.isnan(whole).any(axis=1)]
    reason: Exception | None = None
    for rows, accepts in ((whole, True), (complete, False)):
        if not len(rows):
            continue
        try:
            reference = refer(fitted.predict, rows)
        except Exception as problem:  # noqa: BLE001 - whatever the estimator's library raises
            reason = problem
        else:
            return reference, Limits(accepts_missing=accepts, largest=_find_largest(fitted, rows))
    remedy = "" if len(complete) else f"All {len(matrix)} held-back rows lack a value; train with an imputer."
    raise PackageError(
        "the estimator must predict the held-back rows", value=_first_line(reason), remedy=remedy
    ) from reason


def refer(predict: Callable[[Floats], Floats], matrix: Floats) -> Reference:
    """Keep what an estimator predicts, for rows at once, alone and two at a time."""
    lone = spread(len(matrix), LONE_ROWS)
    return Reference(
        matrix=matrix,
        expected=predict(matrix),
        alone=np.concatenate([predict(matrix[place : place + 1]) for place in lone]),
        pair=predict(np.ascontiguousarray(matrix[lone[:2]])),
    )


def choose_form(fitted: Fitted, reference: Reference, limits: Limits, matrix: Floats, folder: Path) -> Choice:
    """Store an estimator in every form that can hold it, and keep the native one and the fastest.

    An accelerated form that fails in any way is left out, with one line in the log.

    Args:
        fitted: The estimator as it was trained.
        reference: Rows and predictions.
        limits: Which rows it refuses.
        matrix: All held-back rows, float64 of shape ``(rows, columns)``.
        folder: Where the forms' files go; those of forms that are not used are removed again.

    Raises:
        PackageError: If no form gives back the fitted estimator's predictions.
    """
    proofs: list[Proof] = []
    native, files = _store_native(fitted, reference, folder, proofs)
    kept = {native: files}
    probes = Probes(fitted, limits, matrix)
    for form in ACCELERATED:
        proof, written = _store(form, fitted, reference, folder, probes)
        if proof is not None:
            proofs.append(proof)
            kept[form.name] = written
            if not proof.equal:
                _log.warning("model %s: runtime %s is not used: %s", fitted.schema.model, form.name, proof.remark)
    best = min((proof for proof in proofs if proof.equal), key=lambda proof: proof.row_us or 0.0)
    used = {*files, *kept[best.form]}
    for name in {name for written in kept.values() for name in written} - used:
        (folder / name).unlink()
    return Choice(native=native, form=best.form, proofs=tuple(proofs), files=tuple(sorted(used)))


def difference(predictor: Predictor, reference: Reference, task: Task) -> float:
    """Largest difference of a runtime's predictions from the expected ones, in units of their magnitude.

    Args:
        predictor: Any predictor.
        reference: Rows and predictions; repeated until they are a large batch.
        task: What is predicted.

    Returns:
        See :func:`everfit.artifact.tolerance.relative_difference`.
    """
    matrix, expected = reference.matrix, reference.expected
    if not len(matrix):
        return 0.0
    lone = spread(len(matrix), LONE_ROWS)
    alone = np.array([predictor.predict_one(row.tolist()) for row in matrix[lone]])
    many = np.arange(max(len(matrix), BATCH_ROWS)) % len(matrix)
    return max(
        relative_difference(alone, reference.alone, task),
        relative_difference(predictor.predict(np.ascontiguousarray(matrix[lone[:2]])), reference.pair, task),
        relative_difference(predictor.predict(matrix[many]), expected[many], task),
    )


class Probes:
    """Rows beyond the reference, and the fitted estimator's predictions of them.

    Args:
        fitted: The estimator as it was trained.
        limits: Which rows it refuses.
        matrix: All held-back rows.
    """

    def __init__(self, fitted: Fitted, limits: Limits, matrix: Floats) -> None:
        self._fitted = fitted
        self._limits = limits
        self._matrix = matrix

    def difference(self, predictor: Predictor) -> float:
        """Largest difference, as :func:`difference` measures it, over all blocks that the estimator takes."""
        task, found = self._fitted.schema.task, 0.0
        for rows in self._blocks():
            try:
                expected = self._fitted.predict(rows)
            except Exception:  # noqa: BLE001, S112 - it refuses such rows, whoever executes it
                continue
            lone = spread(len(rows), LONE_ROWS)
            alone = np.array([predictor.predict_one(row.tolist()) for row in rows[lone]])
            found = max(
                found,
                relative_difference(predictor.predict(rows), expected, task),
                relative_difference(alone, expected[lone], task),
            )
        return found

    def _blocks(self) -> Iterator[Floats]:
        matrix = self._matrix[spread(len(self._matrix), _PROOF_ROWS)]
        if not self._limits.accepts_missing:
            matrix = matrix[~np.isnan(matrix).any(axis=1)]
        yield np.ascontiguousarray(matrix)
        largest = self._limits.largest or FLOAT32_MAX
        for block in make_probes(self._fitted.estimator, self._fitted.schema, matrix, largest=largest):
            yield block if self._limits.accepts_missing else block[~np.isnan(block).any(axis=1)]


def _find_largest(fitted: Fitted, rows: Floats) -> float | None:
    """The largest magnitude that an estimator takes: that of float32 where it takes no larger one, otherwise any."""
    places = [place for place, column in enumerate(fitted.schema.columns) if column.kind == "number"]
    complete = rows[~np.isnan(rows).any(axis=1)]
    if not places or not len(complete):
        return None
    asked = np.repeat(complete[:1], 2 * len(places), axis=0)
    above, below = np.arange(len(places)), np.arange(len(places), 2 * len(places))

    def takes(size: float) -> bool:
        asked[above, places], asked[below, places] = size, -size
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                fitted.predict(asked)
        except Exception:  # noqa: BLE001 - a refusal is the finding
            return False
        return True

    return FLOAT32_MAX if not takes(2 * FLOAT32_MAX) and takes(FLOAT32_MAX) else None


def _store_native(
    fitted: Fitted, reference: Reference, folder: Path, proofs: list[Proof]
) -> tuple[str, tuple[str, ...]]:
    for form in NATIVE:
        proof, files = _store(form, fitted, reference, folder)
        if proof is None:
            continue
        proofs.append(proof)
        if proof.equal:
            return form.name, files
        for name in files:
            (folder / name).unlink()
    raise no_native_form(proofs)


def _store(
    form: Form, fitted: Fitted, reference: Reference, folder: Path, probes: Probes | None = None
) -> tuple[Proof | None, tuple[str, ...]]:
    """Write an estimator in one form and prove it.

    Returns:
        The proof, ``None`` if the form is not for such estimators; and the files written.
    """
    rows, task = len(reference.matrix), fitted.schema.task
    before = {path.name for path in folder.iterdir()}
    try:
        with _quietly():
            files = form.save(fitted.estimator, folder, fitted.schema)
            if not files:
                return None, ()
            predictor = form.load(folder, fitted.schema)
            found = difference(predictor, reference, task)
            if probes is not None:
                found = max(found, probes.difference(predictor))
    except Exception as problem:  # noqa: BLE001 - whatever a converter, a loader or a runtime raises: another serves
        for path in [path for path in folder.iterdir() if path.name not in before]:
            path.unlink()
        return failed_proof(form.name, problem, rows=rows), ()
    proof = make_proof(form.name, found, arithmetic=coarser(predictor.arithmetic, fitted.arithmetic), rows=rows)
    if proof.equal:
        proof = msgspec.structs.replace(proof, row_us=_row_us(predictor, reference.matrix))
    return proof, files


def make_proof(form: str, found: float, *, arithmetic: Arithmetic, rows: int) -> Proof:
    """Hold a difference against the tolerance of the arithmetic."""
    allowed = TOLERANCES[arithmetic]
    equal = found <= allowed
    return Proof(
        form=form,
        equal=equal,
        difference=float(f"{found:.3g}") if np.isfinite(found) else None,
        rows=rows,
        row_us=None,
        arithmetic=arithmetic,
        remark="" if equal else f"its predictions differ from the estimator's by {found:.2g}; allowed are {allowed:g}",
    )


def failed_proof(form: str, problem: Exception, *, rows: int) -> Proof:
    """Record what a form raised."""
    remark = f"{type(problem).__name__}: {_first_line(problem)}"
    return Proof(form=form, equal=False, difference=None, rows=rows, row_us=None, remark=remark)


def no_native_form(proofs: Sequence[Proof]) -> PackageError:
    """The error for an estimator that no form could hold."""
    found = "; ".join(f"{proof.form}: {proof.remark}" for proof in proofs)
    return PackageError("an estimator must predict the same once it was saved and loaded again", value=found)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Suppress warnings of converters, and of arithmetic with extreme values."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _first_line(problem: Exception | None) -> str:
    return (str(problem).strip().splitlines() or ["without a message"])[0][:200]


def _row_us(predictor: Predictor, matrix: Floats) -> float:
    vectors = [row.tolist() for row in matrix[:32]]
    return round(median(_timed(predictor, vectors) for _ in range(_TIMING_BLOCKS)), 1)


def _timed(predictor: Predictor, vectors: Sequence[list[float]]) -> float:
    started, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _TIMING_SECONDS:
        predictor.predict_one(vectors[calls % len(vectors)])
        calls += 1
    return spent / calls * 1e6
