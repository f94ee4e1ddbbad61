"""Equivalence of a runtime with the fitted estimator: reference rows, and the largest difference on them.

The proof at packaging, the proof at loading and the gate `reload` all measure and judge with what is here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everfit.artifact.input_limits import FLOAT32_MAX, InputLimits
from everfit.artifact.predictor import BATCH_ROWS
from everfit.core.errors import PackageError
from everfit.core.evidence import Arithmetic, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.predictor import Predictor

    Floats = NDArray[np.float64]

TOLERANCES: Mapping[Arithmetic, float] = {"float64": 1e-9, "float32": 1e-6}
"""Largest difference that is rounding, by the arithmetic of a runtime: sums in another order differ by some units in
the last place, of which one is 1e-16 in float64 and 6e-8 in float32. XGBoost's trees differ by up to 2.4e-7 in treelite
(2,000 trees, measured); a row that takes another leaf differs by far more."""

REAL_ROWS = 256
"""Most held-back rows among the reference rows."""
LONE_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class ReferenceRows:
    """Rows and the fitted estimator's predictions of them, which every runtime must give.

    The estimator predicts all rows at once, some of them one by one, and two together: the last digits may differ
    between the three, and a runtime is compared like with like.
    """

    matrix: Floats
    """Shape ``(rows, columns)``."""
    expected: Floats
    """Shape ``(rows,)`` or ``(rows, classes)``."""
    alone: Floats
    """Of :func:`spread` of 32 rows, one by one."""
    pair: Floats
    """Of the first two of these, both at once."""

    def save(self, path: Path) -> None:
        """Write the rows as NumPy's ``.npz``."""
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> ReferenceRows:
        """Read what :meth:`save` wrote, in this release or an older one, which had no rows alone and in pairs."""
        with np.load(path, allow_pickle=False) as arrays:
            matrix, expected = arrays["matrix"], arrays["expected"]
            lone = spread(len(matrix), LONE_ROWS)
            alone = arrays["alone"] if "alone" in arrays else expected[lone]
            pair = arrays["pair"] if "pair" in arrays else expected[lone[:2]]
        return cls(matrix=matrix, expected=expected, alone=alone, pair=pair)


def spread(rows: int, most: int) -> NDArray[np.intp]:
    """Places of at most so many rows, evenly spread over all."""
    return np.unique(np.linspace(0, rows - 1, most).astype(np.intp)) if rows else np.empty(0, dtype=np.intp)


def make_reference(fitted: Fitted, matrix: Floats) -> tuple[ReferenceRows, InputLimits]:
    """Choose rows, have the fitted estimator predict them, and find out which rows it refuses.

    A spread of at most 256 of the held-back rows in ``matrix`` is taken, and for every column a row that lacks it, and
    one that lacks everything. Raises :class:`~everfit.core.errors.PackageError` if the estimator cannot predict even
    rows without gaps, or there are none.
    """
    real = matrix[spread(len(matrix), REAL_ROWS)]
    columns = matrix.shape[1]
    gaps = np.repeat(real[:1], columns + 1, axis=0) if len(real) else np.full((columns + 1, columns), np.nan)
    np.fill_diagonal(gaps[:columns], np.nan)
    gaps[columns:] = np.nan
    whole = np.ascontiguousarray(np.vstack([real, gaps]))
    complete = whole[~np.isnan(whole).any(axis=1)]
    reason: Exception | None = None
    for rows, accepts in ((whole, True), (complete, False)):
        if not len(rows):
            continue
        try:
            reference = refer(fitted.predict, rows)
        except Exception as problem:  # noqa: BLE001 - whatever the estimator's library raises
            reason = problem
        else:
            return reference, InputLimits(accepts_missing=accepts, largest=_find_largest(fitted, rows))
    remedy = "" if len(complete) else f"All {len(matrix)} held-back rows lack a value; train with an imputer."
    raise PackageError(
        "the estimator must predict the held-back rows", value=first_line(reason), remedy=remedy
    ) from reason


def refer(predict: Callable[[Floats], Floats], matrix: Floats) -> ReferenceRows:
    """Keep an estimator's predictions of rows at once, alone and two at a time."""
    lone = spread(len(matrix), LONE_ROWS)
    return ReferenceRows(
        matrix=matrix,
        expected=predict(matrix),
        alone=np.concatenate([predict(matrix[place : place + 1]) for place in lone]),
        pair=predict(np.ascontiguousarray(matrix[lone[:2]])),
    )


def difference(predictor: Predictor, reference: ReferenceRows, task: Task) -> float:
    """Largest :func:`relative_difference` of a runtime's predictions from the expected ones.

    The reference rows are repeated until they are a large batch.
    """
    matrix, expected = reference.matrix, reference.expected
    if not len(matrix):
        return 0.0
    lone = spread(len(matrix), LONE_ROWS)
    many = np.arange(max(len(matrix), BATCH_ROWS)) % len(matrix)
    return max(
        relative_difference(predict_each(predictor, matrix[lone]), reference.alone, task),
        relative_difference(predictor.predict(np.ascontiguousarray(matrix[lone[:2]])), reference.pair, task),
        relative_difference(predictor.predict(matrix[many]), expected[many], task),
    )


def predict_each(predictor: Predictor, rows: Floats) -> Floats:
    """Predict rows one by one."""
    return np.array([predictor.predict_one(row) for row in rows.tolist()])


def relative_difference(predicted: Floats, expected: Floats, task: Task) -> float:
    """Largest difference of two predictions of the same rows, in units of the predictions' magnitude.

    The unit is 1 for probabilities. For regression it is a row's own expected value or the mean magnitude of all
    expected values, whichever is larger: a sum that ends near zero carries the rounding errors of its terms.

    Both have the shape ``(rows,)`` or ``(rows, classes)``. The result is at least 0, and infinity where the shapes
    differ, or where one is NaN or infinite and the other is not the same.

    >>> import numpy as np
    >>> relative_difference(np.array([2000.0, 2.0]), np.array([2001.0, 1.0]), "regression")
    0.000999000999000999
    """
    predicted, expected = np.asarray(predicted, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if (
        predicted.shape != expected.shape
        or not np.array_equal(finite, np.isfinite(predicted))
        or not np.array_equal(predicted[~finite], expected[~finite], equal_nan=True)
    ):
        return float("inf")
    predicted, expected = predicted[finite], expected[finite]
    distance = np.abs(predicted - expected)
    if not distance.any():
        return 0.0
    magnitude = np.abs(expected)
    unit = np.maximum(magnitude, magnitude.mean()) if task == "regression" else np.ones_like(expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(distance == 0, 0.0, distance / unit)))


def _find_largest(fitted: Fitted, rows: Floats) -> float | None:
    """The largest magnitude that an estimator takes: that of float32 where it takes no larger one, otherwise any."""
    places = [place for place, column in enumerate(fitted.schema.columns) if column.kind == "number"]
    complete = rows[~np.isnan(rows).any(axis=1)]
    if not places or not len(complete):
        return None
    large = np.repeat(complete[:1], 2 * len(places), axis=0)
    above, below = np.arange(len(places)), np.arange(len(places), 2 * len(places))

    def takes(size: float) -> bool:
        large[above, places], large[below, places] = size, -size
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                fitted.predict(large)
        except Exception:  # noqa: BLE001 - a refusal is the finding
            return False
        return True

    return FLOAT32_MAX if not takes(2 * FLOAT32_MAX) and takes(FLOAT32_MAX) else None


def first_line(problem: Exception | None) -> str:
    """Return the first line of an error's message, at most 200 characters."""
    return (str(problem).strip().splitlines() or ["without a message"])[0][:200]
