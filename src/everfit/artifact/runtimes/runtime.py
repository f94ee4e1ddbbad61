"""What a form must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.schema import InputSchema


class Form(Protocol):
    """A way to store estimators of some libraries. It writes files below the folder ``model`` of a package."""

    name: str
    executes_code: bool
    """Whether loading its files executes code from them."""

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:
        """Write an estimator.

        Args:
            estimator: What a trainer returned.
            folder: An existing folder.
            schema: What the estimator was fitted on.

        Returns:
            The names of the files written; empty if this form cannot hold the estimator.
        """
        ...

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """Read what :meth:`save` wrote into ``folder``."""
        ...
