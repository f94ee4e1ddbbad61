"""Interface of a runtime: a way to store and execute estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from everfit.artifact.predictor import Predictor
from everfit.artifact.schema import InputSchema


class Runtime(Protocol):
    """A way to store estimators of some libraries, as files in the folder ``model`` of a package."""

    name: str
    executes_code: bool
    """True if loading its files executes code from them."""

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:
        """Write an estimator.

        Args:
            estimator: The trainer's result.
            folder: An existing folder.
            schema: Schema of its training.

        Returns:
            The names of the files written; empty if this runtime cannot hold the estimator.
        """
        ...

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """Read the files that :meth:`save` wrote into ``folder``."""
        ...
