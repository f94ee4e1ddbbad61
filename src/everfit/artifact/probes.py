"""Rows on which a runtime must predict what the estimator predicts, beyond those that were held back.

Trees jump: two runtimes that agree on thousands of rows may disagree where a value lies within a rounding of a
threshold. So values are taken at, just below and just above every threshold that can be found, and around values that
occur, in float64 and in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from everfit.artifact.equivalence import spread
from everfit.artifact.split_points import find_split_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everfit.artifact.schema import InputSchema

    Matrix = NDArray[np.float64]
    Places = NDArray[np.intp]

_MOST_ROWS = 4_096
_VALUES = 64
_COMBINED_ROWS = 512
_LARGE = (1e-40, 1e9, 1e15, 1e30)


def make_probes(estimator: Any, schema: InputSchema, rows: Matrix, *, largest: float) -> Iterator[Matrix]:
    """Make rows in blocks of one kind each; an estimator may refuse one kind and take the others.

    They are made of ``rows``, at least one that occurs, float64 of shape ``(rows, columns)``. Numbers take any value up
    to ``largest``, the largest magnitude that the estimator takes; categories and booleans only those that requests can
    have. A block has at most some thousand rows, in C order.
    """
    random = np.random.default_rng(0)
    numbers = np.array([place for place, column in enumerate(schema.columns) if column.kind == "number"], dtype=np.intp)
    columns, points = find_split_points(estimator, columns=len(schema.columns))
    free = np.isin(columns, numbers)
    columns, points = columns[free], points[free]
    if len(points):
        yield _replaced(rows, *_neighbours(columns, points, random), random)
        yield _combined(rows, columns, points, random)
    for block in (_values(rows, numbers), _large(numbers, largest, splits=len(points) > 0)):
        if len(block[0]):
            yield _replaced(rows, *block, random)
    yield _encoded(rows, schema, random)
    gaps = _draw(rows, _COMBINED_ROWS, random)
    gaps[random.random(gaps.shape) < 0.3] = np.nan
    yield gaps


def _draw(rows: Matrix, count: int, random: np.random.Generator) -> Matrix:
    return rows[random.integers(0, len(rows), count)]


def _neighbours(columns: Places, values: Matrix, random: np.random.Generator) -> tuple[Places, Matrix]:
    """Values with those next to them in both precisions, at most so many pairs, drawn at random."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
        up, down = (np.nextafter(narrow, np.float32(end)).astype(np.float64) for end in (np.inf, -np.inf))
    middle = narrow.astype(np.float64)
    exact = [values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)]
    near = np.stack([*exact, middle, up, down, (middle + up) / 2, (middle + down) / 2])
    places = np.tile(columns, len(near))
    near = near.ravel()
    kept = np.flatnonzero(np.isfinite(near))
    if len(kept) > _MOST_ROWS:
        kept = random.choice(kept, _MOST_ROWS, replace=False)
    return places[kept], near[kept]


def _values(rows: Matrix, numbers: Places) -> tuple[Places, Matrix]:
    """Neighbours of values that occur, and what lies between whole numbers."""
    columns, values = [np.empty(0, dtype=np.intp)], [np.empty(0)]
    for column in numbers.tolist():
        known = np.unique(rows[:, column][np.isfinite(rows[:, column])])
        some = known[spread(len(known), _VALUES)]
        values.append(np.concatenate([some, some + 0.5]))
        columns.append(np.full(2 * len(some), column, dtype=np.intp))
    return _neighbours(np.concatenate(columns), np.concatenate(values), np.random.default_rng(1))


def _large(numbers: Places, largest: float, *, splits: bool) -> tuple[Places, Matrix]:
    """Zero and magnitudes far from any value; the utmost only where they are compared, since sums of them overflow."""
    sizes = [size for size in (*_LARGE, largest) if size <= largest] if splits else list(_LARGE[:3])
    values = np.array([0.0, -0.0, *sizes, *(-size for size in sizes)])
    return np.repeat(numbers, len(values)), np.tile(values, len(numbers))


def _replaced(rows: Matrix, columns: Places, values: Matrix, random: np.random.Generator) -> Matrix:
    """Rows drawn at random, each with one value replaced."""
    made = _draw(rows, len(values), random)
    made[np.arange(len(values)), columns] = values
    return np.ascontiguousarray(made[:_MOST_ROWS])


def _combined(rows: Matrix, columns: Places, points: Matrix, random: np.random.Generator) -> Matrix:
    """Rows in which every column that is split has a value next to one of its thresholds."""
    made = _draw(rows, _COMBINED_ROWS, random)
    for column in np.unique(columns):
        own = points[columns == column]
        near = _neighbours(np.full(len(own), column), own, random)[1]
        made[:, column] = random.choice(near, _COMBINED_ROWS)
    return made


def _encoded(rows: Matrix, schema: InputSchema, random: np.random.Generator) -> Matrix:
    """Rows with any category and boolean beside any other."""
    made = _draw(rows, _COMBINED_ROWS, random)
    for place, column in enumerate(schema.columns):
        choices = len(column.categories) if column.kind == "category" else 2
        if column.kind != "number" and choices:
            made[:, place] = random.integers(0, choices, _COMBINED_ROWS)
    return made
