"""Many rows at once through LightGBM's trees, where that is faster than LightGBM's library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.runtimes.lightgbm_objective import conversion
from everfit.artifact.runtimes.lightgbm_trees import read_forest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from everfit.artifact.runtimes.lightgbm_objective import Convert
    from everfit.artifact.runtimes.lightgbm_trees import Forest
    from everfit.artifact.runtimes.quick_scorer import QuickScorer

# Nanoseconds, on an AMD EPYC with 512 KB of cache a core.
_LIBRARY_LEVEL = 11
_TABLES_CALL = 60_000
_TABLES_CALL_FEATURE = 2_200
_TABLES_FEATURE = 18
_TABLES_FEATURE_BYTE = 0.08
_TABLES_TREE = 3.5


class LightgbmBatch:
    """A model as tables.

    Args:
        scorer: Its trees.
        convert: What becomes of their sums.
        columns: How many numbers a row has.
        fewest_rows: From how many rows on it is faster than the library.
    """

    def __init__(self, scorer: QuickScorer, convert: Convert, *, columns: int, fewest_rows: float) -> None:
        self._scorer = scorer
        self._convert = convert
        self._columns = columns
        self._fewest_rows = fewest_rows

    def is_faster(self, matrix: NDArray[np.float64]) -> bool:
        """Whether to ask the tables; never if the rows do not fit the model, which is the library's to refuse."""
        return len(matrix) >= self._fewest_rows and matrix.shape[1] == self._columns

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answer rows.

        Args:
            matrix: Float64 in C order, shape ``(rows, columns)``; missing values are NaN.

        Returns:
            Float64 of shape ``(rows, outputs)``.
        """
        return self._convert(self._scorer.add_up(matrix))


def make_batch(text: str) -> LightgbmBatch | None:
    """Make tables of a model.

    Args:
        text: LightGBM's text format.

    Returns:
        ``None`` where the library is as fast, or the model holds what tables cannot.
    """
    from everfit.artifact.runtimes.quick_scorer import QuickScorer

    forest = read_forest(text)
    convert = conversion(forest.objective) if forest else None
    if forest is None or convert is None or not QuickScorer.can_hold(forest):
        return None
    fewest_rows = _fewest_rows(forest, QuickScorer.word_bytes(forest))
    if fewest_rows > BATCH_ROWS:
        return None
    return LightgbmBatch(QuickScorer(forest), convert, columns=forest.columns, fewest_rows=fewest_rows)


def _fewest_rows(forest: Forest, word_bytes: int) -> float:
    """From how many rows on tables are faster: more trees and leaves speak for them, more features against them."""
    trees = len(forest.trees)
    features = len({split.feature for tree in forest.trees for split in tree.splits})
    library = sum(_LIBRARY_LEVEL * math.log2(len(tree.leaves)) for tree in forest.trees)
    tables = features * (_TABLES_FEATURE + _TABLES_FEATURE_BYTE * word_bytes * trees) + _TABLES_TREE * trees
    if tables >= library:
        return math.inf
    return max(2, (_TABLES_CALL + _TABLES_CALL_FEATURE * features) / (library - tables))
