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

from everfit.artifact.equivalence import LONE_ROWS, ReferenceRows, difference, first_line, spread
from everfit.artifact.manifest import Proof
from everfit.artifact.probes import make_probes
from everfit.artifact.runtimes.catalogue import ACCELERATED, NATIVE
from everfit.artifact.tolerance import FLOAT32_MAX, TOLERANCES, coarser, relative_difference
from everfit.core.errors import PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.input_limits import InputLimits
    from everfit.artifact.predictor import Predictor
    from everfit.artifact.runtimes.runtime import Runtime

    Floats = NDArray[np.float64]

_PROOF_ROWS = 50_000
_TIMING_BLOCKS = 15
_TIMING_SECONDS = 0.004

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """The runtimes that are kept, and the proofs of all that were tried."""

    native: str
    runtime: str
    proofs: tuple[Proof, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RuntimeTrial:
    """Trial of runtimes on one fitted estimator: store, load, measure the difference, measure the time of a row."""

    fitted: Fitted
    folder: Path
    """Receives the runtimes' files."""
    rows: int
    """Number of reference rows."""
    load: Callable[[Runtime], Predictor]
    measure: Callable[[Predictor], float]
    """The largest difference from the fitted estimator on the reference rows."""
    time_row: Callable[[Predictor], float]
    """Microseconds of a row's prediction."""

    def store(
        self, runtime: Runtime, probe: Callable[[Predictor], float] | None = None
    ) -> tuple[Proof | None, tuple[str, ...]]:
        """Store the estimator for one runtime and prove it.

        Args:
            runtime: The runtime.
            probe: The largest difference on further rows.

        Returns:
            The proof, ``None`` if the runtime is not for such estimators; and the files written.
        """
        before = {path.name for path in self.folder.iterdir()}
        try:
            with _quietly():
                files = runtime.save(self.fitted.estimator, self.folder, self.fitted.schema)
                if not files:
                    return None, ()
                predictor = self.load(runtime)
                found = max(self.measure(predictor), probe(predictor) if probe else 0.0)
        except Exception as problem:  # noqa: BLE001 - whatever a converter, loader or runtime raises: another serves
            for path in [path for path in self.folder.iterdir() if path.name not in before]:
                path.unlink()
            remark = f"{type(problem).__name__}: {first_line(problem)}"
            failed = Proof(
                runtime=runtime.name, equal=False, difference=None, rows=self.rows, row_us=None, remark=remark
            )
            return failed, ()
        arithmetic = coarser(predictor.arithmetic, self.fitted.arithmetic)
        allowed = TOLERANCES[arithmetic]
        proof = Proof(
            runtime=runtime.name,
            equal=found <= allowed,
            difference=float(f"{found:.3g}") if np.isfinite(found) else None,
            rows=self.rows,
            row_us=None,
            arithmetic=arithmetic,
        )
        if proof.equal:
            return msgspec.structs.replace(proof, row_us=self.time_row(predictor)), files
        remark = f"its predictions differ from the estimator's by {found:.2g}; allowed are {allowed:g}"
        return msgspec.structs.replace(proof, remark=remark), files

    def store_native(self) -> tuple[RuntimeChoice, list[Proof]]:
        """Store the estimator in the first native runtime that gives back its predictions.

        Returns:
            The choice, and the proofs of all that were tried.

        Raises:
            PackageError: If none does.
        """
        proofs: list[Proof] = []
        for runtime in NATIVE:
            proof, files = self.store(runtime)
            if proof is None:
                continue
            proofs.append(proof)
            if proof.equal:
                names = tuple(sorted(files))
                return RuntimeChoice(
                    native=runtime.name, runtime=runtime.name, proofs=tuple(proofs), files=names
                ), proofs
            for name in files:
                (self.folder / name).unlink()
        found = "; ".join(f"{proof.runtime}: {proof.remark}" for proof in proofs)
        raise PackageError("an estimator must predict the same once it was saved and loaded again", value=found)


def choose_runtime(
    fitted: Fitted, reference: ReferenceRows, limits: InputLimits, matrix: Floats, folder: Path
) -> RuntimeChoice:
    """Store an estimator for every runtime that can hold it, and keep the native one and the fastest.

    An accelerated runtime that fails in any way is left out, with one line in the log.

    Args:
        fitted: The estimator as it was trained.
        reference: Rows and predictions.
        limits: Which rows it refuses.
        matrix: All held-back rows, float64 of shape ``(rows, columns)``.
        folder: Receives the runtimes' files; those of runtimes that are not used are removed again.

    Raises:
        PackageError: If no runtime gives back the fitted estimator's predictions.
    """
    trial = RuntimeTrial(
        fitted=fitted,
        folder=folder,
        rows=len(reference.matrix),
        load=lambda runtime: runtime.load(folder, fitted.schema),
        measure=lambda predictor: difference(predictor, reference, fitted.schema.task),
        time_row=lambda predictor: _row_us(predictor, reference.matrix),
    )
    native, proofs = trial.store_native()
    kept = {native.native: native.files}

    def probe(predictor: Predictor) -> float:
        return _probe(predictor, fitted, limits, matrix)

    for runtime in ACCELERATED:
        proof, written = trial.store(runtime, probe)
        if proof is not None:
            proofs.append(proof)
            kept[runtime.name] = written
            if not proof.equal:
                _log.warning("model %s: runtime %s is not used: %s", fitted.schema.model, runtime.name, proof.remark)
    best = min((proof for proof in proofs if proof.equal), key=lambda proof: proof.row_us or 0.0)
    used = {*native.files, *kept[best.runtime]}
    for name in {name for written in kept.values() for name in written} - used:
        (folder / name).unlink()
    return RuntimeChoice(native=native.native, runtime=best.runtime, proofs=tuple(proofs), files=tuple(sorted(used)))


def _probe(predictor: Predictor, fitted: Fitted, limits: InputLimits, matrix: Floats) -> float:
    """Largest difference from the fitted estimator on held-back rows and probes, over all blocks that it takes."""
    task, found = fitted.schema.task, 0.0
    for rows in _blocks(fitted, limits, matrix):
        try:
            expected = fitted.predict(rows)
        except Exception:  # noqa: BLE001, S112 - the estimator refuses such rows, in any runtime
            continue
        lone = spread(len(rows), LONE_ROWS)
        alone = np.array([predictor.predict_one(row.tolist()) for row in rows[lone]])
        found = max(
            found,
            relative_difference(predictor.predict(rows), expected, task),
            relative_difference(alone, expected[lone], task),
        )
    return found


def _blocks(fitted: Fitted, limits: InputLimits, matrix: Floats) -> Iterator[Floats]:
    matrix = matrix[spread(len(matrix), _PROOF_ROWS)]
    if not limits.accepts_missing:
        matrix = matrix[~np.isnan(matrix).any(axis=1)]
    yield np.ascontiguousarray(matrix)
    for block in make_probes(fitted.estimator, fitted.schema, matrix, largest=limits.largest or FLOAT32_MAX):
        yield block if limits.accepts_missing else block[~np.isnan(block).any(axis=1)]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Suppress warnings of converters, and of arithmetic with extreme values."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _row_us(predictor: Predictor, matrix: Floats) -> float:
    vectors = [row.tolist() for row in matrix[:32]]
    return round(median(_timed(predictor, vectors) for _ in range(_TIMING_BLOCKS)), 1)


def _timed(predictor: Predictor, vectors: Sequence[list[float]]) -> float:
    started, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _TIMING_SECONDS:
        predictor.predict_one(vectors[calls % len(vectors)])
        calls += 1
    return spent / calls * 1e6
