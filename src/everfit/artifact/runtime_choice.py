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
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from everfit.artifact.equivalence import (
    LONE_ROWS,
    TOLERANCES,
    ReferenceRows,
    difference,
    first_line,
    predict_each,
    relative_difference,
    spread,
)
from everfit.artifact.input_limits import FLOAT32_MAX
from everfit.artifact.manifest import Proof
from everfit.artifact.probes import make_probes
from everfit.artifact.runtimes.catalogue import ACCELERATED, NATIVE, RUNTIMES
from everfit.core.errors import PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.input_limits import InputLimits
    from everfit.artifact.predictor import Predictor
    from everfit.artifact.runtimes.runtime import Runtime
    from everfit.core.evidence import Arithmetic

    Floats = NDArray[np.float64]

_PROOF_ROWS = 50_000
_TIMED_ROWS = 32
_TIMING_BLOCKS = 15
_TIMING_SECONDS = 0.004

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """The runtimes that are kept, and the proofs of all that were tried."""

    native: str
    runtime: str
    proofs: tuple[Proof, ...]


@dataclass(frozen=True, kw_only=True)
class RuntimeTrial:
    """Trial of runtimes on one fitted estimator: store, load, measure the difference, measure the time of a row."""

    fitted: Fitted
    folder: Path
    """Receives the runtimes' files."""
    vectors: Sequence[Sequence[Any]]
    """Every reference row as :meth:`~everfit.artifact.predictor.Predictor.predict_one` takes it."""
    measure: Callable[[Predictor], float]
    """The largest difference from the fitted estimator on the reference rows."""
    wrap: Callable[[Predictor], Predictor] = lambda predictor: predictor
    """Complete a runtime's predictor, so that it takes the reference rows."""

    def prove(self, runtime: Runtime, probe: Callable[[Predictor], float] | None = None) -> Proof | None:
        """Store the estimator for one runtime and prove it; the file stays only if the predictions are equal.

        ``probe`` measures the largest difference on further rows. ``None`` if the runtime is not for such estimators.
        """
        path, schema = self.folder / runtime.file, self.fitted.schema
        is_shared = path.exists()
        proof = Proof(runtime=runtime.name, equal=False, difference=None, rows=len(self.vectors), row_us=None)
        try:
            with _quietly():
                if not runtime.save(self.fitted.estimator, path, schema):
                    return None
                predictor = self.wrap(runtime.load(path, schema))
                found = max(self.measure(predictor), probe(predictor) if probe else 0.0)
        except Exception as problem:  # noqa: BLE001 - whatever a converter, loader or runtime raises: another serves
            remark = f"{type(problem).__name__}: {first_line(problem)}"
        else:
            both = (predictor.arithmetic, self.fitted.arithmetic)
            arithmetic: Arithmetic = "float32" if "float32" in both else "float64"
            rounded = float(f"{found:.3g}") if np.isfinite(found) else None
            proof = msgspec.structs.replace(proof, difference=rounded, arithmetic=arithmetic)
            allowed = TOLERANCES[arithmetic]
            if found <= allowed:
                return msgspec.structs.replace(proof, equal=True, row_us=self._row_us(predictor))
            remark = f"its predictions differ from the estimator's by {found:.2g}; allowed are {allowed:g}"
        if not is_shared:
            path.unlink(missing_ok=True)
        return msgspec.structs.replace(proof, remark=remark)

    def prove_native(self) -> list[Proof]:
        """Store the estimator in the first native runtime that gives back its predictions, that of the last proof.

        Raises :class:`~everfit.core.errors.PackageError` if none does.
        """
        proofs: list[Proof] = []
        for runtime in NATIVE:
            if proof := self.prove(runtime):
                proofs.append(proof)
                if proof.equal:
                    return proofs
        found = "; ".join(f"{proof.runtime}: {proof.remark}" for proof in proofs)
        raise PackageError("an estimator must predict the same once it was saved and loaded again", value=found)

    def _row_us(self, predictor: Predictor) -> float:
        vectors = self.vectors[:_TIMED_ROWS]

        def block() -> float:
            started, calls = time.perf_counter(), 0
            while (spent := time.perf_counter() - started) < _TIMING_SECONDS:
                predictor.predict_one(vectors[calls % len(vectors)])
                calls += 1
            return spent / calls * 1e6

        return round(median(block() for _ in range(_TIMING_BLOCKS)), 1)


def choose_runtime(
    fitted: Fitted, reference: ReferenceRows, limits: InputLimits, matrix: Floats, folder: Path
) -> RuntimeChoice:
    """Store an estimator for every runtime that can hold it, and keep the native one and the fastest in ``folder``.

    They are proved on the reference, and on all held-back rows in ``matrix`` within the estimator's limits. An
    accelerated runtime that fails in any way is left out, with one line in the log.
    """
    trial = RuntimeTrial(
        fitted=fitted,
        folder=folder,
        vectors=reference.matrix.tolist(),
        measure=lambda predictor: difference(predictor, reference, fitted.schema.task),
    )
    proofs = trial.prove_native()
    native = proofs[-1].runtime
    for runtime in ACCELERATED:
        if proof := trial.prove(runtime, lambda predictor: _probe(predictor, fitted, limits, matrix)):
            proofs.append(proof)
            if not proof.equal:
                _log.warning("model %s: runtime %s is not used: %s", fitted.schema.model, runtime.name, proof.remark)
    best = min((proof for proof in proofs if proof.equal), key=lambda proof: proof.row_us or 0.0).runtime
    used = {RUNTIMES[native].file, RUNTIMES[best].file}
    for name in {RUNTIMES[proof.runtime].file for proof in proofs} - used:
        (folder / name).unlink(missing_ok=True)
    return RuntimeChoice(native=native, runtime=best, proofs=tuple(proofs))


def _probe(predictor: Predictor, fitted: Fitted, limits: InputLimits, matrix: Floats) -> float:
    """Largest difference from the fitted estimator on held-back rows and probes, over all blocks that it takes."""
    task, found = fitted.schema.task, 0.0
    for rows in _blocks(fitted, limits, matrix):
        try:
            expected = fitted.predict(rows)
        except Exception:  # noqa: BLE001, S112 - the estimator refuses such rows, in any runtime
            continue
        lone = spread(len(rows), LONE_ROWS)
        alone = relative_difference(predict_each(predictor, rows[lone]), expected[lone], task)
        found = max(found, alone, relative_difference(predictor.predict(rows), expected, task))
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
