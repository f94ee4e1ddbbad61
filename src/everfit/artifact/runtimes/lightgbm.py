"""LightGBM's boosters as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from everfit.artifact.predictor import Predictor
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.schema import InputSchema

FILE = "lightgbm.txt"


class LightgbmRuntime:
    """LightGBM's own text format, executed by the ``lightgbm`` package."""

    name = "lightgbm"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        booster = find_booster(estimator)
        if booster is None:
            return ()
        booster.save_model(str(folder / FILE))
        return (FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:
        """As :class:`everfit.artifact.runtimes.runtime.Runtime` promises."""
        import lightgbm

        return NativePredictor(self.name, lightgbm.Booster(model_file=str(folder / FILE)), schema)


def find_booster(estimator: Any) -> Any:
    """Return the booster within an estimator of LightGBM; ``None`` for any other."""
    if not type(estimator).__module__.startswith("lightgbm."):
        return None
    return estimator.booster_ if hasattr(type(estimator), "booster_") else estimator
