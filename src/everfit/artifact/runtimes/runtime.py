"""A runtime: a way to store and execute estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everfit.artifact.predictor import Predictor
from everfit.artifact.schema import InputSchema


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A way to store estimators of some libraries as one file in the folder ``model`` of a package."""

    name: str
    file: str
    """Name of the file; runtimes of the same format share it."""
    save: Callable[[Any, Path, InputSchema], bool]
    """Write an estimator to a path; false, without a file, if this runtime cannot hold it."""
    load: Callable[[Path, InputSchema], Predictor]
    """Read what ``save`` wrote. Raises :class:`ImportError` if the library is not installed."""
    executes_code: bool = False
    """True if loading the file executes code from it."""
