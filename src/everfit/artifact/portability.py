"""Proof that a package with code in it predicts without the project: in another process and folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from everfit.artifact.package import ROWS, Package, open_package
from everfit.artifact.signing import Trust
from everfit.core.errors import EverfitError, PackageError
from everfit.core.user_code import describe_raise

_LIMIT_S = 300.0
_MARK = "the package raised: "
"""Stands on standard error before what went wrong, behind whatever libraries wrote there."""
_RUN = """
import sys
sys.path.append(sys.argv[1])
from everfit.artifact.portability import predict_alone
predict_alone(*sys.argv[2:])
"""


def require_portable(package: Package) -> None:
    """Load a package and predict in a process of its own, without the project's folder on the path.

    A package that executes no code needs no such proof: it holds data, and its libraries are installed. Raises
    :class:`~everfit.core.errors.PackageError` if something that it needs did not travel with it.
    """
    if not package.manifest.executes_code:
        return
    library = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory(prefix="everfit-portable-") as elsewhere:
        try:
            done = subprocess.run(  # noqa: S603 - this interpreter and our own module
                [sys.executable, "-I", "-c", _RUN, library, str(package.folder.resolve()), package.manifest.key],
                cwd=elsewhere,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as problem:
            raise PackageError("a packaged model must load in five minutes", place=str(package.folder)) from problem
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        reason = done.stderr.rpartition(_MARK)[2].strip() if _MARK in done.stderr else lines[-1]
        raise PackageError(
            f"a packaged model must predict without the project's folder, but in another process it failed: {reason}",
            remedy="Keep the code that it needs beside everfit.toml or installed, import it by import statements, "
            "and keep the data that it needs in the estimator.",
            place=f"model {package.manifest.model}",
        )


def predict_alone(folder: str, key: str) -> None:
    """Load the package in a folder and predict its reference rows; end the process with the error, if any."""
    try:
        package = open_package(Path(folder), trust=Trust([key]))
        package.native()
        pipeline = package.row_pipeline()
        names = [field.name for field in package.schema.request]
        for row in pl.read_parquet(package.folder / ROWS).select(names).head(2).rows():
            pipeline.used(row, ())
    except EverfitError as error:
        sys.exit(f"{_MARK}{error}")
    except Exception as error:  # noqa: BLE001 - whatever the project's own code raises is the finding
        sys.exit(f"{_MARK}{describe_raise(error)}")
