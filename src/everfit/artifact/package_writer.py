"""Writing of packages: the estimator with its runtimes and proofs, schema, code, reference rows and signature."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from everfit.artifact.encode import encode_frame, encode_inputs
from everfit.artifact.equivalence import TOLERANCES, make_reference
from everfit.artifact.expressions.check import prove_computations
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.frame_equivalence import choose_frame_runtime, make_frame_reference
from everfit.artifact.importance import measure_importance
from everfit.artifact.input_limits import InputLimits
from everfit.artifact.manifest import FORMAT, Lineage, Manifest
from everfit.artifact.mlflow_files import write_mlflow_files
from everfit.artifact.package import (
    HELD_OUT,
    IMPORTANCE,
    INPUTS,
    MANIFEST,
    MODEL_FOLDER,
    PROFILE,
    REFERENCE,
    ROWS,
    SCHEMA,
    Package,
    record_files,
)
from everfit.artifact.provenance import copy_code
from everfit.artifact.runtime_choice import RuntimeChoice, choose_runtime
from everfit.artifact.runtimes.catalogue import RUNTIMES
from everfit.artifact.runtimes.pickled import PROJECT_FOLDER, pickle_by_value
from everfit.artifact.schema import InputSchema
from everfit.artifact.signing import Signer
from everfit.core.errors import PackageError
from everfit.definitions.model import Model

_KEPT_ROWS = 256


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
    """Write a package atomically: all of it or, if the process dies, nothing under this name.

    Every runtime and every compiled transformation is proved on ``rows``, held-back rows with the request's fields and
    the features. The code in the folder ``project`` is kept (:meth:`Package.project`), and ``profile`` (see
    :meth:`Package.profile`). Raises :class:`~everfit.core.errors.PackageError` if the folder exists, or no runtime
    gives back the estimator's predictions.
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
            importance = measure_importance(
                profile.filter(HELD_OUT),
                fitted.schema.names,
                lambda rows: fitted.predict(encode_inputs(fitted.schema, rows)),
            )
            (draft / IMPORTANCE).write_bytes(msgspec.json.encode(importance))
        manifest = msgspec.structs.replace(manifest, files=record_files(draft), key=signer.key)
        digest = manifest.content_digest()
        signed = msgspec.structs.replace(manifest, digest=digest, signature=signer.sign(digest.encode()))
        (draft / MANIFEST).write_bytes(signed.to_json())
        draft.rename(folder)
    return Package(folder, signed, fitted.schema)


def _fill(draft: Path, fitted: Fitted, model: Model, rows: pl.DataFrame, lineage: Lineage) -> Manifest:
    """Write every file but the manifest."""
    schema = fitted.schema
    choice, limits = _store(draft, fitted, rows)
    arithmetic = next(proof.arithmetic for proof in choice.proofs if proof.runtime == choice.runtime)
    kinds = {RUNTIMES[choice.native], RUNTIMES[choice.runtime]}
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
        runtime=choice.runtime,
        tolerance=TOLERANCES[arithmetic],
        proofs=choice.proofs,
        computations=computations,
        accepts_missing=limits.accepts_missing,
        largest=limits.largest,
        executes_code=tuple(f"{MODEL_FOLDER}/{kept.file}" for kept in kinds if kept.executes_code) + code,
        lineage=lineage,
        files=(),
    )


def _store(draft: Path, fitted: Fitted, rows: pl.DataFrame) -> tuple[RuntimeChoice, InputLimits]:
    """Write the estimator and its reference."""
    folder = draft / MODEL_FOLDER
    if fitted.schema.frame == "matrix":
        matrix = encode_frame(fitted.schema, rows)
        reference, limits = make_reference(fitted, matrix)
        reference.save(draft / REFERENCE)
        return choose_runtime(fitted, reference, limits, matrix, folder), limits
    frames, limits = make_frame_reference(fitted, rows)
    np.savez(draft / REFERENCE, expected=frames[1])
    frames[0].write_parquet(draft / INPUTS)
    return choose_frame_runtime(fitted, frames, limits, folder), limits


def _write_code(draft: Path, schema: InputSchema, model: Model) -> tuple[str, ...]:
    functions = {part.name: part.function for part in model.on_demand}
    parts = [part for part in schema.computations if part.code]
    for part in parts:
        (draft / part.code).parent.mkdir(exist_ok=True)
        (draft / part.code).write_bytes(pickle_by_value(functions[part.name], draft / PROJECT_FOLDER))
    return tuple(part.code for part in parts)
