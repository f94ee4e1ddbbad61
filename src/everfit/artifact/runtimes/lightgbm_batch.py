"""Batches through LightGBM's trees as tables, where that is faster than LightGBM's library (ADR 21)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.runtimes.lightgbm_trees import read_forest
from everfit.artifact.runtimes.quick_scorer import QuickScorer, word_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.runtimes.lightgbm_trees import Forest

    Convert = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Nanoseconds, measured on an AMD EPYC with 512 KB of cache a core. Only their ratios count.
_LIBRARY_LEVEL = 11
_TABLES_CALL = 60_000
_TABLES_CALL_FEATURE = 2_200
_TABLES_FEATURE = 18
_TABLES_FEATURE_BYTE = 0.08
_TABLES_TREE = 3.5

_SUMS = frozenset({"", "regression", "regression_l1", "huber", "fair", "quantile", "mape"})
_LOGARITHMS = frozenset({"poisson", "gamma", "tweedie"})
_LOG_ODDS = frozenset({"binary", "cross_entropy", "multiclassova"})


@dataclass(frozen=True, kw_only=True)
class LightgbmBatch:
    """A model as tables."""

    scorer: QuickScorer
    convert: Convert
    """From the trees' sums to predictions."""
    columns: int
    fewest_rows: float
    """Number of rows from which on it is faster than the library."""

    def is_faster(self, matrix: NDArray[np.float64]) -> bool:
        """Return true if the tables are faster; rows that do not fit the model are left to the library to refuse."""
        return len(matrix) >= self.fewest_rows and matrix.shape[1] == self.columns

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict rows, float64 in C order of shape ``(rows, columns)``, to float64 of shape ``(rows, outputs)``."""
        return self.convert(self.scorer.add_up(matrix))


def make_batch(text: str) -> LightgbmBatch | None:
    """Make tables of a model; ``None`` where the library is as fast, or the model holds what tables cannot."""
    forest = read_forest(text)
    convert = conversion(forest.objective) if forest else None
    if forest is None or convert is None or not QuickScorer.can_hold(forest):
        return None
    fewest_rows = _fewest_rows(forest)
    if fewest_rows > BATCH_ROWS:
        return None
    return LightgbmBatch(scorer=QuickScorer(forest), convert=convert, columns=forest.columns, fewest_rows=fewest_rows)


def conversion(objective: str) -> Convert | None:
    """Return the function from the trees' sums, shape ``(rows, outputs)``, to predictions; ``None`` if it is not known.

    ``objective`` is as LightGBM writes it, for example ``binary sigmoid:1``.
    """
    name, *parameters = objective.split() or [""]
    if "sqrt" in parameters:
        return None
    if name in _SUMS:
        return lambda sums: sums
    if name in _LOGARITHMS:
        return _exponential
    if name in _LOG_ODDS:
        steepness = float(next((text[8:] for text in parameters if text.startswith("sigmoid:")), "1"))
        return lambda sums: 1.0 / (1.0 + _exponential(-steepness * sums))
    return _softmax if name == "multiclass" else None


def _exponential(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.exp(sums)


def _softmax(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _fewest_rows(forest: Forest) -> float:
    """Return the number of rows from which on tables are faster: more features need more rows, more leaves fewer."""
    trees = len(forest.trees)
    features = len({split.feature for tree in forest.trees for split in tree.splits})
    library = sum(_LIBRARY_LEVEL * math.log2(len(tree.leaves)) for tree in forest.trees)
    tables = (
        features * (_TABLES_FEATURE + _TABLES_FEATURE_BYTE * word_type(forest).itemsize * trees) + _TABLES_TREE * trees
    )
    if tables >= library:
        return math.inf
    return max(2, (_TABLES_CALL + _TABLES_CALL_FEATURE * features) / (library - tables))
