"""Metric: a measure of predictions, with its direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from everfit.core.evidence import Task
from everfit.measures.weighting import Floats, Weighing, weigh


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of predictions against the truth.

    ``truth`` is 0/1 (binary), the class's index (multiclass) or the value (regression), shape ``(rows,)``; -1 is a
    class that the model does not know, which is scored like the worst prediction;
    ``predicted`` the chance of the positive class or the value, shape ``(rows,)``, or the classes' chances, shape
    ``(rows, classes)``.
    """

    name: str
    greater_is_better: bool
    tasks: tuple[Task, ...]
    prepare: Callable[[Floats, Floats], Weighing] = field(compare=False)
    """Computes what depends on the rows alone; see :mod:`everfit.measures.weighting`."""
    description: str
    """Its meaning and the source of the formula."""
    in_label_unit: bool = False
    """True if it is measured in the label's own unit, so that its size means nothing by itself."""
    best_at_zero: bool = False
    """True if the distance from zero counts, the sign being only the direction."""

    def on(self, truth: Floats, predicted: Floats) -> Weighing:
        """Prepare the metric of fixed rows for many weightings; NaN throughout if a prediction is not finite."""
        if not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
            return _undefined
        return self.prepare(truth, predicted)

    def compute(self, truth: Floats, predicted: Floats, weight: Floats | None = None) -> float:
        """Return the metric on these rows, each counting ``weight`` times; NaN where it is undefined."""
        return weigh(self.on(truth, predicted), weight, len(truth)) if len(truth) else float("nan")

    def loss(self, value: float) -> float:
        """Return the value with its sign such that less is better."""
        if self.best_at_zero:
            return abs(value)
        return -value if self.greater_is_better else value

    def worse_by(self, new: float, old: float) -> float:
        """Return the change from ``old`` to ``new``: positive always means worse, in the metric's own unit."""
        return self.loss(new) - self.loss(old)


def _undefined(_: Floats) -> float:
    return float("nan")
