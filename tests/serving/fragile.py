"""An estimator that passes every gate, and raises on what was never seen before."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier

HEAVY = 50.0
"""No order of the shop's history weighs that much."""


class Fragile(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Trees, with a trap.

    Args:
        gives: The chance of what is heavy; without it, that raises.
    """

    def __init__(self, gives: float | None = None) -> None:
        self.gives = gives

    def fit(self, X: Any, y: Any) -> Fragile:
        self.trees_ = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(X, y)
        self.classes_ = self.trees_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        heavy = X[:, -2] > HEAVY
        chances = self.trees_.predict_proba(X)
        if heavy.any():
            if self.gives is None:
                raise KeyError("heavy")
            chances[heavy] = self.gives
        return chances

    def predict(self, X: Any) -> Any:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
