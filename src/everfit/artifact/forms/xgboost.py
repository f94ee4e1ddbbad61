"""XGBoost's boosters as universal binary JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.predictor import Predictor
    from everfit.artifact.schema import InputSchema

FILE = "xgboost.ubj"


class XgboostForm:
    """XGBoost's own format, executed by the ``xgboost`` package in float32."""

    name = "xgboost"
    executes_code = False

    def save(self, estimator: Any, folder: Path, schema: InputSchema) -> tuple[str, ...]:  # noqa: ARG002
        """As :class:`everfit.artifact.forms.form.Form` promises."""
        if not type(estimator).__module__.startswith("xgboost."):
            return ()
        booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
        booster.save_model(str(folder / FILE))
        return (FILE,)

    def load(self, folder: Path, schema: InputSchema) -> Predictor:  # noqa: ARG002
        """As :class:`everfit.artifact.forms.form.Form` promises."""
        import xgboost

        return XgboostPredictor(xgboost.Booster(model_file=str(folder / FILE)))


class XgboostPredictor:
    """A booster asked without a ``DMatrix``.

    Args:
        booster: The booster; if it stopped early, its trees up to the best round are asked.
    """

    form = XgboostForm.name

    def __init__(self, booster: Any) -> None:
        self.estimator = booster
        best = booster.attr("best_iteration")
        self._rounds = (0, 0) if best is None else (0, int(best) + 1)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        answers = self.estimator.inplace_predict(matrix, iteration_range=self._rounds, validate_features=False)
        return np.asarray(answers, dtype=np.float64)

    def predict_one(self, vector: Sequence[float] | NDArray[np.float64]) -> float | list[float]:
        """As :class:`everfit.artifact.predictor.Predictor` promises."""
        import numpy as np

        answer: float | list[float] = self.predict(np.array(vector, dtype=np.float64, ndmin=2))[0].tolist()
        return answer
