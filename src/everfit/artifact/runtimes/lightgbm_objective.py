"""What LightGBM makes of its trees' sums, by objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_SUMS = frozenset({"", "regression", "regression_l1", "huber", "fair", "quantile", "mape"})
_LOGARITHMS = frozenset({"poisson", "gamma", "tweedie"})
_LOG_ODDS = frozenset({"binary", "cross_entropy", "multiclassova"})


def conversion(objective: str) -> Convert | None:
    """How sums become answers.

    Args:
        objective: As LightGBM writes it, for example ``binary sigmoid:1``.

    Returns:
        A function of sums, float64 of shape ``(rows, outputs)``; ``None`` for objectives that are not known here.
    """
    name, *parameters = objective.split() or [""]
    if "sqrt" in parameters:
        return None
    if name in _SUMS:
        return lambda sums: sums
    if name in _LOGARITHMS:
        return _exponential
    if name in _LOG_ODDS:
        steepness = float(next((each[8:] for each in parameters if each.startswith("sigmoid:")), "1"))
        return lambda sums: _sigmoid(sums, steepness)
    return _softmax if name == "multiclass" else None


def _exponential(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(over="ignore"):
        return np.exp(sums)


def _sigmoid(sums: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    return 1.0 / (1.0 + _exponential(-steepness * sums))


def _softmax(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
