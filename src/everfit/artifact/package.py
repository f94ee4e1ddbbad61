"""A packaged model: a folder whose manifest lists and verifies every file, loaded without executing foreign code.

manifest.json      table of contents with every file's digest, lineage, proofs, signature
schema.json        from a request to the matrix
model/…            the estimator, and the runtime that serves
code/…             signed functions of on-demand transformations that are not plain expressions
reference.npz      held-back rows with the fitted estimator's predictions
reference.parquet  the same rows before they were encoded
inputs.parquet     the held-back rows instead of reference.npz's matrix, where the estimator takes data frames
profile.parquet    rows it was trained on and held-out ones with its predictions: monitoring's reference
importance.json    weight of each feature, so that monitoring need not execute the model
MLmodel, …         for MLflow (:mod:`everfit.artifact.pyfunc`)

Packages are written by :mod:`everfit.artifact.package_writer`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from everfit.artifact.encode import encode_inputs
from everfit.artifact.equivalence import TOLERANCES, ReferenceRows, difference, first_line
from everfit.artifact.expressions.row_pipeline import RowPipeline
from everfit.artifact.expressions.stored import require_harmless
from everfit.artifact.input_limits import InputLimits, LimitedPredictor
from everfit.artifact.manifest import FileRecord, Manifest, read_manifest
from everfit.artifact.runtimes.catalogue import RUNTIMES
from everfit.artifact.runtimes.pickled import PROJECT_FOLDER, unpickle
from everfit.artifact.schema import InputSchema
from everfit.core.errors import CorruptPackageError, PackageError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.signing import Trust

MANIFEST = "manifest.json"
SCHEMA = "schema.json"
REFERENCE = "reference.npz"
ROWS = "reference.parquet"
INPUTS = "inputs.parquet"
PROFILE = "profile.parquet"
IMPORTANCE = "importance.json"
MODEL_FOLDER = "model"

HELD_OUT, PREDICTION = "held_out", "prediction"
"""Columns of the profile: true for rows that training did not use, and the estimator's prediction of them."""

_log = logging.getLogger(__name__)
_MLFLOWS_OWN = frozenset({"registered_model_meta"})
"""Files that MLflow adds when it copies a registered model; nothing here reads them."""


class Package:
    """A verified package; made by :func:`open_package`."""

    def __init__(self, folder: Path, manifest: Manifest, schema: InputSchema) -> None:
        self.folder = folder
        self.manifest = manifest
        self.schema = schema
        self.digest = manifest.digest
        """``sha256:…`` of the manifest, and through it of every file."""

    def project(self, trust: Trust) -> Path:
        """Return the folder with the project's code at the time of training, if a trusted key signed the package.

        Raises :class:`~everfit.core.errors.PackageError` if it was not kept.
        """
        folder, place = self.folder / PROJECT_FOLDER, str(self.folder)
        if not folder.is_dir():
            raise PackageError("the project's code must have been kept in the package", place=place)
        trust.verify(self.digest.encode(), signature=self.manifest.signature, key=self.manifest.key, place=place)
        return folder

    @property
    def uncompiled(self) -> tuple[str, ...]:
        """On-demand transformations that are computed on a frame of one row, as they are not compiled to Python."""
        return tuple(name for name, path in self.manifest.computations.items() if path != "python")

    @property
    def is_compiled(self) -> bool:
        """True if neither its runtime nor a transformation needs the libraries that it was trained with."""
        return self.manifest.runtime != self.manifest.native and not self.uncompiled

    def describe_runtime(self) -> str:
        """Describe the runtime, with the time per row that was measured where the package was written."""
        runtime, frame = self.manifest.runtime, self.schema.frame
        row_us = self.manifest.proof_of(runtime).row_us
        speed = f", about {row_us / 1000:.3g} ms a row" if row_us is not None else ""
        if frame == "matrix":
            return f"on the float64 matrix as {runtime}{speed}"
        return f"on {frame} data frames as {runtime}{speed}, slower than on the float64 matrix"

    def predictor(self) -> Predictor:
        """Load the runtime that serves, and prove it again on the reference rows.

        Where its library is missing or predicts differently, the native runtime is loaded instead, which the
        predictor's ``runtime`` shows.
        """
        runtime, native = self.manifest.runtime, self.manifest.native
        if runtime != native:
            try:
                return self.compiled()
            except Exception as problem:  # noqa: BLE001 - whatever a runtime's library raises: the native one serves
                model, reason = self.schema.model, f"{type(problem).__name__}: {first_line(problem)}"
                _log.warning("model %s: runtime %s is not used, %s serves: %s", model, runtime, native, reason)
        return self.native()

    def compiled(self) -> Predictor:
        """Load the runtime that serves, and prove it again on the reference rows; raises what :meth:`native` does."""
        return self._load(self.manifest.runtime)

    def native(self) -> Predictor:
        """Load the estimator itself, in its own library, which may not be installed here or predict differently.

        Then it raises :class:`ImportError` or :class:`~everfit.core.errors.PackageError`.
        """
        return self._load(self.manifest.native)

    def row_pipeline(self) -> RowPipeline:
        """Return the pipeline from a request to the vector that :meth:`predictor` takes."""
        if self.schema.frame == "matrix":
            return RowPipeline(self.schema, self.manifest.computations, self._functions)
        # Here, since a matrix needs no data frames.
        from everfit.artifact.model_frame import FramePipeline

        return FramePipeline(self.schema, self.manifest.computations, self._functions)

    def transform(self, frame: pl.DataFrame) -> Any:
        """Encode a frame that has the schema's columns; see :func:`everfit.artifact.encode.encode_inputs`."""
        return encode_inputs(self.schema, frame)

    def reference(self) -> tuple[Any, NDArray[np.float64]]:
        """Return held-back rows as :meth:`transform` gives them, and the fitted estimator's predictions."""
        if self.schema.frame == "matrix":
            reference = ReferenceRows.load(self.folder / REFERENCE)
            return reference.matrix, reference.expected
        rows, expected = self._frame_reference()
        return self.transform(rows), expected

    def profile(self) -> pl.DataFrame | None:
        """Return labelled rows of training and hold-out, see :func:`everfit.training.profile.profile_rows`; ``None`` if
        none were kept.
        """
        return self._read(PROFILE) if (self.folder / PROFILE).is_file() else None

    def importance(self) -> dict[str, float]:
        """Return the weight of each feature on the hold-out, see :mod:`everfit.artifact.importance`, without executing
        the model; all are alike in a package that was written before they were kept.
        """
        path = self.folder / IMPORTANCE
        if not path.is_file():
            return dict.fromkeys(self.schema.names, 1.0)
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])

    def _read(self, name: str) -> pl.DataFrame:
        import polars as pl

        return pl.read_parquet(self.folder / name, glob=False)

    def _frame_reference(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        with np.load(self.folder / REFERENCE, allow_pickle=False) as arrays:
            return self._read(INPUTS), arrays["expected"]

    @cached_property
    def _functions(self) -> Mapping[str, Callable[[Any], Any]]:
        return {
            part.name: unpickle((self.folder / part.code).read_bytes(), self.folder / PROJECT_FOLDER)
            for part in self.schema.computations
            if part.code
        }

    def _load(self, name: str) -> Predictor:
        runtime, schema = RUNTIMES[name], self.schema
        limits = InputLimits(accepts_missing=self.manifest.accepts_missing, largest=self.manifest.largest)
        predictor = runtime.load(self.folder / MODEL_FOLDER / runtime.file, schema)
        if schema.frame == "matrix":
            found = difference(predictor, ReferenceRows.load(self.folder / REFERENCE), schema.task)
            if not limits.accepts_missing or limits.largest is not None:
                predictor = LimitedPredictor(predictor, schema, limits)
        else:
            # Here, since a matrix needs no data frames.
            from everfit.artifact.frame_equivalence import frame_difference
            from everfit.artifact.model_frame import FramePredictor

            predictor = FramePredictor(predictor, schema, limits)
            found = frame_difference(predictor, schema, self._frame_reference())
        allowed = TOLERANCES[self.manifest.proof_of(name).arithmetic]
        if not found <= allowed:
            raise PackageError(
                f"a runtime must predict what the fitted estimator predicted, within {allowed:g}, on this machine too",
                value=found,
                remedy="Install the library versions of its requirements.txt.",
                place=f"{self.folder}, runtime {name}",
            )
        return predictor


def open_package(folder: Path, *, trust: Trust) -> Package:
    """Verify a package: every file's digest, no file more or less, and the signature if loading it executes code.

    Raises :class:`~everfit.core.errors.CorruptPackageError` if a file is missing, unknown or changed,
    :class:`~everfit.core.errors.UntrustedPackageError` if loading would execute code that no trusted key signed.
    """
    manifest = manifest_of(folder)
    _verify_files(folder, manifest)
    try:
        schema = msgspec.json.decode((folder / SCHEMA).read_bytes(), type=InputSchema)
    except msgspec.DecodeError as problem:
        raise CorruptPackageError("schema.json must be a schema", value=str(problem), place=str(folder)) from problem
    for part in schema.computations:
        for text in part.expressions:
            require_harmless(text, place=f"{folder}, {part.name}")
    if _executes_code(manifest, schema, place=str(folder)):
        trust.verify(manifest.digest.encode(), signature=manifest.signature, key=manifest.key, place=str(folder))
    return Package(folder, manifest, schema)


def manifest_of(folder: Path) -> Manifest:
    """Read a package's manifest, and verify nothing but that. Raises :class:`CorruptPackageError`."""
    path = folder / MANIFEST
    if not path.is_file():
        raise CorruptPackageError("a package must hold manifest.json", value=str(folder))
    return read_manifest(path.read_bytes(), place=str(folder))


def _executes_code(manifest: Manifest, schema: InputSchema, *, place: str) -> bool:
    """Return true if loading a package executes code from it, by what would be loaded and not by what it claims."""
    names = {manifest.native, manifest.runtime}
    for name in names - RUNTIMES.keys():
        raise CorruptPackageError("a package's runtimes must be known", value=name, place=place)
    return any(RUNTIMES[name].executes_code for name in names) or any(part.code for part in schema.computations)


def record_files(folder: Path) -> tuple[FileRecord, ...]:
    """Return every file below a folder but its manifest, with its digest, in order of path."""

    def record(path: Path) -> FileRecord:
        content, name = path.read_bytes(), path.relative_to(folder).as_posix()
        return FileRecord(path=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))

    return tuple(record(path) for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST)


def _verify_files(folder: Path, manifest: Manifest) -> None:
    expected = {record.path: record for record in manifest.files}
    found = {record.path: record for record in record_files(folder) if record.path not in _MLFLOWS_OWN}
    links = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()]
    for rule, names in (
        ("every file of the manifest must be there", sorted(expected.keys() - found.keys())),
        ("no file may be there that the manifest does not know", sorted(found.keys() - expected.keys())),
        ("no file may be a link", sorted(links)),
        ("no file may differ from its digest", sorted(name for name in expected if expected[name] != found.get(name))),
    ):
        if names:
            raise CorruptPackageError(rule, value=names[0], remedy="Fetch the package again.", place=str(folder))
