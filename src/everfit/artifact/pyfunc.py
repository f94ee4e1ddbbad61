"""Loading of a package by MLflow: ``mlflow.pyfunc.load_model(folder)``.

Every digest is verified. A package whose loading executes code (its manifest's ``executes_code``) is loaded only with
a trusted signature where this system's keys are known: the folder in ``EVERFIT_KEYS``, or ``.everfit/keys`` in the
working directory. Without keys it is refused; MLflow's own registry does not authenticate the author of a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.artifact.package import Package, open_package
from everfit.artifact.signing import read_trust


class PyfuncModel:
    """Model with the interface that MLflow expects."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._predictor = package.predictor()

    @property
    def classes(self) -> tuple[str | int | bool, ...]:
        """The label's values in the order of the probabilities; empty for a regression."""
        return self._package.schema.classes

    @property
    def positive(self) -> str | int | bool | None:
        """The class whose probability a binary model predicts; ``None`` for other tasks."""
        return self._package.schema.positive

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float64]:  # noqa: ARG002
        """Predict a pandas or Polars frame, or a mapping of columns, with the features before they are encoded.

        Returns:
            Float64 of shape ``(rows,)``, or ``(rows, classes)`` for multiclass.
        """
        return self._predictor.predict(self._package.transform(_to_polars(model_input)))


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point."""
    keys = Path(os.environ.get("EVERFIT_KEYS", ".everfit/keys"))
    return PyfuncModel(open_package(Path(path), trust=read_trust(keys)))


def _to_polars(given: Any) -> pl.DataFrame:
    if isinstance(given, pl.DataFrame):
        return given
    columns = {str(name): given[name] for name in getattr(given, "columns", given)}
    listed = {name: values.tolist() if hasattr(values, "tolist") else values for name, values in columns.items()}
    whole = {name: [None if _is_gap(value) else value for value in values] for name, values in listed.items()}
    return pl.DataFrame({name: pl.Series(values, strict=False) for name, values in whole.items()})


def _is_gap(value: Any) -> bool:
    # pandas writes a gap as None, NaN or NA; NA cannot be compared at all.
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value  # noqa: PLR0124
