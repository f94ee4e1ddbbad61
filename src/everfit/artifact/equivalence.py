"""Equivalence of a runtime with the fitted estimator: reference rows, and the largest difference on them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everfit.artifact.input_limits import InputLimits
from everfit.artifact.predictor import BATCH_ROWS
from everfit.artifact.tolerance import FLOAT32_MAX, relative_difference
from everfit.core.errors import PackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.fitted_model import Fitted
    from everfit.artifact.predictor import Predictor
    from everfit.core.evidence import Task

    Floats = NDArray[np.float64]

_REAL_ROWS = 256
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
        np.savez(path, **dataclasses.asdict(self))

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

    Args:
        fitted: The estimator as it was trained.
        matrix: Held-back rows, float64 of shape ``(rows, columns)``. A spread of at most 256 of them is taken, and for
            every column a row that lacks it, and one that lacks everything.

    Raises:
        PackageError: If the estimator cannot predict even rows without gaps, or there are none.
    """
    real = matrix[spread(len(matrix), _REAL_ROWS)]
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
    """Largest difference of a runtime's predictions from the expected ones, in units of their magnitude.

    The reference rows are repeated until they are a large batch.

    Returns:
        See :func:`everfit.artifact.tolerance.relative_difference`.
    """
    matrix, expected = reference.matrix, reference.expected
    if not len(matrix):
        return 0.0
    lone = spread(len(matrix), LONE_ROWS)
    alone = np.array([predictor.predict_one(row.tolist()) for row in matrix[lone]])
    many = np.arange(max(len(matrix), BATCH_ROWS)) % len(matrix)
    return max(
        relative_difference(alone, reference.alone, task),
        relative_difference(predictor.predict(np.ascontiguousarray(matrix[lone[:2]])), reference.pair, task),
        relative_difference(predictor.predict(matrix[many]), expected[many], task),
    )


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
