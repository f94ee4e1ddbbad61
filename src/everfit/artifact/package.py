"""A packaged model: a folder that says what it holds, proves it, and executes nobody else's code.

manifest.json      table of contents with every file's digest, lineage, proofs, signature
schema.json        from a request to the matrix
model/…            the estimator, and the form that serves
code/…             signed functions of on-demand transformations that are not plain expressions
reference.npz      held-back rows with the fitted estimator's answers
reference.parquet  the same rows before they were encoded
inputs.parquet     the held-back rows instead of reference.npz's matrix, where the estimator sees data frames
profile.parquet    rows it was made from, the held-out ones with its predictions: what monitoring compares with
MLmodel, …         how MLflow reads it (:mod:`everfit.artifact.pyfunc`)
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everfit.artifact.expressions.row_pipeline import FramePipeline, RowPipeline
from everfit.artifact.expressions.stored import require_harmless
from everfit.artifact.manifest import FORMAT, FileRecord, Lineage, Manifest, read_manifest
from everfit.artifact.provenance import copy_code
from everfit.artifact.schema import InputSchema
from everfit.core.errors import CorruptPackageError, InvalidRequestError, PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from everfit.artifact.equivalence import Choice, Limits, Reference
    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.predictor import Predictor
    from everfit.artifact.signing import Signer, Trust
    from everfit.definitions.model import Model

MANIFEST = "manifest.json"
SCHEMA = "schema.json"
REFERENCE = "reference.npz"
ROWS = "reference.parquet"
INPUTS = "inputs.parquet"
PROFILE = "profile.parquet"
MODEL_FOLDER = "model"
PROJECT_FOLDER = "project"

HELD_OUT, PREDICTION = "held_out", "prediction"
"""Columns of the profile: whether the estimator never saw the row, and what it answered then."""

_KEPT_ROWS = 256
_log = logging.getLogger(__name__)
_MLFLOWS_OWN = frozenset({"registered_model_meta"})
"""Files that MLflow adds when it copies a registered model; nothing here reads them."""


class Package:
    """A verified package; made by :func:`open_package`.

    Args:
        folder: Where it lies.
        manifest: What it says of itself.
        schema: What the model takes.
    """

    def __init__(self, folder: Path, manifest: Manifest, schema: InputSchema) -> None:
        self.folder = folder
        self.manifest = manifest
        self.schema = schema

    @property
    def digest(self) -> str:
        """``sha256:…`` of the manifest, and through it of every file."""
        return self.manifest.digest

    def project(self, trust: Trust) -> Path:
        """The folder with the project's code as it was.

        Args:
            trust: Whose code may be executed.

        Raises:
            PackageError: If it was not kept.
            UntrustedPackageError: If no trusted key signed the package.
        """
        folder, place = self.folder / PROJECT_FOLDER, str(self.folder)
        if not folder.is_dir():
            raise PackageError("the project's code must have been kept in the package", place=place)
        trust.verify(self.digest.encode(), signature=self.manifest.signature, key=self.manifest.key, place=place)
        return folder

    def runtime(self) -> str:
        """Description of the runtime, with the time per row that was measured where the package was written."""
        manifest, frame = self.manifest, self.schema.frame
        times = [proof.row_us for proof in manifest.proofs if proof.form == manifest.form and proof.row_us is not None]
        speed = f", about {times[0] / 1000:.3g} ms a row" if times else ""
        if frame == "matrix":
            return f"on the float64 matrix as {manifest.form}{speed}"
        return f"on {frame} data frames as {manifest.form}{speed}, slower than on the float64 matrix"

    def predictor(self) -> Predictor:
        """Load the form that serves, and prove it again on the reference rows.

        Where its library is missing or answers differently, the native form is loaded instead, and says so in its
        ``form``.

        Raises:
            PackageError: If the native form fails as well.
        """
        if self.manifest.form != self.manifest.native:
            try:
                return self._load(self.manifest.form)
            except Exception as problem:  # noqa: BLE001 - whatever a runtime's library raises: the native one serves
                reason = (str(problem).splitlines() or [""])[0]
                _log.warning(
                    "model %s: runtime %s is not used, %s serves: %s: %s",
                    self.schema.model,
                    self.manifest.form,
                    self.manifest.native,
                    type(problem).__name__,
                    reason,
                )
        return self.native()

    def native(self) -> Predictor:
        """Load the estimator itself, in its own library.

        Raises:
            PackageError: If its answers are not those of the estimator that was fitted.
            ImportError: If its library is not installed.
        """
        return self._load(self.manifest.native)

    def row_pipeline(self) -> RowPipeline:
        """The way from a request to the vector that :meth:`predictor` takes."""
        pipeline = RowPipeline if self.schema.frame == "matrix" else FramePipeline
        return pipeline(self.schema, self.manifest.computations, self._functions)

    def transform(self, frame: pl.DataFrame) -> Any:
        """Encode a frame that has the schema's columns; see :func:`everfit.artifact.encode.encode_inputs`."""
        from everfit.artifact.encode import encode_inputs

        return encode_inputs(self.schema, frame)

    def reference(self) -> tuple[Any, NDArray[np.float64]]:
        """Held-back rows as :meth:`transform` gives them, and the fitted estimator's answers."""
        import numpy as np

        with np.load(self.folder / REFERENCE, allow_pickle=False) as arrays:
            expected = arrays["expected"]
            if self.schema.frame == "matrix":
                return arrays["matrix"], expected
        return self.transform(self._inputs()), expected

    def _inputs(self) -> pl.DataFrame:
        import polars as pl

        return pl.read_parquet(self.folder / INPUTS)

    def _reference(self) -> Reference:
        import numpy as np

        from everfit.artifact.equivalence import LONE_ROWS, Reference, spread

        with np.load(self.folder / REFERENCE, allow_pickle=False) as arrays:
            matrix, expected = arrays["matrix"], arrays["expected"]
            lone = spread(len(matrix), LONE_ROWS)
            # Packages of before do not tell rows alone from rows together.
            alone = arrays["alone"] if "alone" in arrays else expected[lone]
            pair = arrays["pair"] if "pair" in arrays else expected[lone[:2]]
            return Reference(matrix=matrix, expected=expected, alone=alone, pair=pair)

    def profile(self) -> pl.DataFrame | None:
        """Labelled rows that the version was made from, as :func:`everfit.training.profile.profile_rows` says; ``None``
        if none were kept.
        """
        import polars as pl

        path = self.folder / PROFILE
        return pl.read_parquet(path, glob=False) if path.is_file() else None

    @cached_property
    def _functions(self) -> Mapping[str, Callable[[Any], Any]]:
        from everfit.artifact.runtimes.pickled import unpickle

        return {
            part.name: unpickle((self.folder / part.code).read_bytes(), self.folder / PROJECT_FOLDER)
            for part in self.schema.computations
            if part.code
        }

    def _load(self, name: str) -> Predictor:
        from everfit.artifact.equivalence import difference
        from everfit.artifact.runtimes.catalogue import FORMS

        if self.schema.frame != "matrix":
            return self._load_on_frames(name)
        predictor = FORMS[name].load(self.folder / MODEL_FOLDER, self.schema)
        self._require_equal(name, difference(predictor, self._reference(), self.schema.task))
        if self.manifest.largest is not None:
            predictor = _RefusesLarge(predictor, self.schema, largest=self.manifest.largest)
        return predictor if self.manifest.accepts_missing else _RefusesMissing(predictor, self.schema)

    def _require_equal(self, name: str, found: float) -> None:
        from everfit.artifact.tolerance import TOLERANCES

        allowed = TOLERANCES[self.manifest.arithmetic_of(name)]
        if not found <= allowed:
            raise PackageError(
                f"a runtime must predict what the fitted estimator predicted, within {allowed:g}, on this machine too",
                value=found,
                remedy="Install the library versions of its requirements.txt.",
                place=f"{self.folder}, runtime {name}",
            )

    def _load_on_frames(self, name: str) -> Predictor:
        import numpy as np

        from everfit.artifact.frame_equivalence import frame_difference
        from everfit.artifact.frame_predictor import FramePredictor
        from everfit.artifact.model_frame import FrameBuilder
        from everfit.artifact.runtimes.catalogue import FORMS

        predictor = FramePredictor(
            FORMS[name].load(self.folder / MODEL_FOLDER, self.schema),
            FrameBuilder(self.schema),
            accepts_missing=self.manifest.accepts_missing,
        )
        with np.load(self.folder / REFERENCE, allow_pickle=False) as arrays:
            expected = arrays["expected"]
        self._require_equal(name, frame_difference(predictor, self.schema, self._inputs(), expected))
        return predictor


class _RefusesLarge:
    """Refuses numbers that the estimator itself refuses, where the runtime would take them for infinity."""

    def __init__(self, predictor: Predictor, schema: InputSchema, *, largest: float) -> None:
        self.form = predictor.form
        self.arithmetic = predictor.arithmetic
        self._predictor = predictor
        self._names = schema.names
        self._largest = largest

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        for row in matrix[(np.abs(matrix) > self._largest).any(axis=1)][:1]:
            self._require_small(row.tolist())
        return self._predictor.predict(matrix)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        # In C, and false where NaN comes first, so that the slow way looks at every number.
        if not (max(vector) <= self._largest and min(vector) >= -self._largest):
            self._require_small(vector)
        return self._predictor.predict_one(vector)

    def _require_small(self, vector: Sequence[float] | NDArray[np.float64]) -> None:
        large = {name: number for name, number in zip(self._names, vector, strict=True) if abs(number) > self._largest}
        if large:
            raise InvalidRequestError(
                f"this model takes numbers between -{self._largest:.2g} and {self._largest:.2g}",
                value=large,
                remedy="Send a smaller number, or null if it is not known.",
            )


class _RefusesMissing:
    """Stands before a form that would answer NaN where the estimator itself refuses it."""

    def __init__(self, predictor: Predictor, schema: InputSchema) -> None:
        self.form = predictor.form
        self.arithmetic = predictor.arithmetic
        self._predictor = predictor
        self._names = schema.names

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        for row in matrix[np.isnan(matrix).any(axis=1)][:1]:
            raise self._missing(row.tolist())
        return self._predictor.predict(matrix)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        for number in vector:
            if number != number:  # noqa: PLR0124 - NaN, without a function call
                raise self._missing(vector)
        return self._predictor.predict_one(vector)

    def _missing(self, vector: Sequence[float] | NDArray[np.float64]) -> InvalidRequestError:
        names = [name for name, number in zip(self._names, vector, strict=True) if number != number]  # noqa: PLR0124
        return InvalidRequestError(
            "this model takes no missing values, nor categories that it never met",
            value=names,
            remedy="Send them, or train with an imputer.",
        )


def open_package(folder: Path, *, trust: Trust) -> Package:
    """Verify a package: every file's digest, no file more or less, and the signature if loading it executes code.

    Args:
        folder: The package.
        trust: Whose code may be executed.

    Raises:
        CorruptPackageError: If a file is missing, unknown or changed; names it.
        UntrustedPackageError: If loading would execute code that no trusted key signed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CorruptPackageError("a package must hold manifest.json", value=str(folder))
    manifest = read_manifest(path.read_bytes(), place=str(folder))
    _verify_files(folder, manifest)
    schema = _read_schema(folder)
    for part in schema.computations:
        for text in part.expressions:
            require_harmless(text, place=f"{folder}, {part.name}")
    if executes_code(manifest, schema, place=str(folder)):
        trust.verify(manifest.digest.encode(), signature=manifest.signature, key=manifest.key, place=str(folder))
    return Package(folder, manifest, schema)


def write_package(
    folder: Path,
    *,
    fitted: Fitted,
    model: Model,
    rows: pl.DataFrame,
    lineage: Lineage,
    signer: Signer,
    project: Path | None = None,
    profile: pl.DataFrame | None = None,
) -> Package:
    """Write a package: all of it or, if the process dies, nothing under this name.

    Args:
        folder: Must not exist yet.
        fitted: The estimator and its schema.
        model: The definition, for its on-demand functions.
        rows: Held-back rows with the request's fields and the features. Every form, and every compiled
            transformation, must give the same on them as what it stands for.
        lineage: Where the model came from.
        signer: Signs the package.
        project: The project's folder, whose code is kept; see :meth:`Package.project`.
        profile: See :meth:`Package.profile`.

    Raises:
        PackageError: If the folder exists, or no form gives back the estimator's answers.
    """
    if folder.exists():
        raise PackageError("a package is never overwritten", value=str(folder), remedy="Choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        draft = Path(made) / "package"
        (draft / MODEL_FOLDER).mkdir(parents=True)
        if project is not None:
            copy_code(project, draft / PROJECT_FOLDER)
        manifest = _fill(draft, fitted, model, rows, lineage)
        if profile is not None:
            profile.write_parquet(draft / PROFILE)
        manifest = msgspec.structs.replace(manifest, files=record_files(draft), key=signer.key)
        digest = manifest.content_digest()
        signed = msgspec.structs.replace(manifest, digest=digest, signature=signer.sign(digest.encode()))
        (draft / MANIFEST).write_bytes(signed.to_json())
        draft.rename(folder)
    return Package(folder, signed, fitted.schema)


def _fill(draft: Path, fitted: Fitted, model: Model, rows: pl.DataFrame, lineage: Lineage) -> Manifest:
    """Write every file but the manifest."""
    from everfit.artifact.expressions.check import prove_computations
    from everfit.artifact.mlflow_files import write_mlflow_files
    from everfit.artifact.tolerance import TOLERANCES

    schema = fitted.schema
    choice, limits = _store(draft, fitted, rows)
    arithmetic = next(proof.arithmetic for proof in choice.proofs if proof.form == choice.form)
    computations = prove_computations(schema, rows)
    code = _write_code(draft, schema, model)
    named = dict.fromkeys([*(field.name for field in schema.request), *schema.names])
    rows.select(list(named)).head(_KEPT_ROWS).write_parquet(draft / ROWS)
    write_mlflow_files(draft, schema, rows, lineage.libraries)
    (draft / SCHEMA).write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=1) + b"\n")
    return Manifest(
        format=FORMAT,
        everfit=metadata.version("everfit"),
        model=schema.model,
        task=schema.task,
        features=schema.names,
        native=choice.native,
        form=choice.form,
        tolerance=TOLERANCES[arithmetic],
        proofs=choice.proofs,
        computations=computations,
        accepts_missing=limits.accepts_missing,
        largest=limits.largest,
        executes_code=tuple(f"{MODEL_FOLDER}/{name}" for name in choice.files if name.endswith(".pkl")) + code,
        lineage=lineage,
        files=(),
    )


def _store(draft: Path, fitted: Fitted, rows: pl.DataFrame) -> tuple[Choice, Limits]:
    """Write the estimator and its reference."""
    import numpy as np

    from everfit.artifact.encode import encode_frame
    from everfit.artifact.equivalence import Limits, choose_form, make_reference
    from everfit.artifact.frame_equivalence import choose_frame_form, make_frame_reference

    if fitted.schema.frame == "matrix":
        matrix = encode_frame(fitted.schema, rows)
        reference, limits = make_reference(fitted, matrix)
        np.savez(draft / REFERENCE, **dataclasses.asdict(reference))
        return choose_form(fitted, reference, limits, matrix, draft / MODEL_FOLDER), limits
    frames = make_frame_reference(fitted, rows)
    np.savez(draft / REFERENCE, expected=frames.expected)
    frames.rows.write_parquet(draft / INPUTS)
    choice = choose_frame_form(fitted, frames, draft / MODEL_FOLDER)
    return choice, Limits(accepts_missing=frames.accepts_missing, largest=None)


def _write_code(draft: Path, schema: InputSchema, model: Model) -> tuple[str, ...]:
    from everfit.artifact.runtimes.pickled import pickle_by_value

    functions = {part.name: part.function for part in model.on_demand}
    written = tuple(part.code for part in schema.computations if part.code)
    for part in schema.computations:
        if part.code:
            path = draft / part.code
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(pickle_by_value(functions[part.name], draft / PROJECT_FOLDER))
    return written


def executes_code(manifest: Manifest, schema: InputSchema, *, place: str) -> bool:
    """Whether loading a package executes code from it. Judged by what would be loaded, not by what it claims.

    Raises:
        CorruptPackageError: If it names a form that does not exist.
    """
    from everfit.artifact.runtimes.catalogue import FORMS

    for name in (manifest.native, manifest.form):
        if name not in FORMS:
            raise CorruptPackageError("a package's forms must be known", value=name, place=place)
    forms = {manifest.native, manifest.form}
    return any(FORMS[name].executes_code for name in forms) or any(part.code for part in schema.computations)


def record_files(folder: Path) -> tuple[FileRecord, ...]:
    """Every file below a folder but its manifest, with its digest, in order of path."""
    records = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            content = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            records.append(FileRecord(path=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content)))
    return tuple(records)


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


def _read_schema(folder: Path) -> InputSchema:
    try:
        return msgspec.json.decode((folder / SCHEMA).read_bytes(), type=InputSchema)
    except msgspec.DecodeError as problem:
        raise CorruptPackageError("schema.json must be a schema", value=str(problem), place=str(folder)) from problem
