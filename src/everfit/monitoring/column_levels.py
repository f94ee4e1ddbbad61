"""Levels of numeric columns, window by window, and how far successive windows of a reference differ in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from everfit.measures.bins import Bins
from everfit.measures.confidence import student_quantile
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.measures.weighting import Floats

SPANS = (3, 7)
"""Windows before and after a jump whose medians are compared: one odd day is no jump."""
TESTED = 6
"""Levels in which a jump is looked for; the others only serve to explain it."""
LEVELS = 9
_SHARES = (0.1, 0.5, 0.9)
_FEW_ROWS = 10
_LEAST_BINS = 10
"""A column with fewer values, such as a flag or a small count, has steps of its own."""
_MOST_ZEROS = 0.25
"""Share of zeros from which they decide the levels; no factor moves them, and dry weeks are no other unit."""
_LEAST_WINDOWS = 21
_BEYOND = 1.25
"""A jump is no usual one beyond this many times the largest of the reference; chosen."""
_LEAST_MOVE, _LEAST_RATIO = 0.5, 0.4
"""In standard deviations of the reference, and in natural logarithms: no common conversion of units is smaller."""
_STEPS = 2.5
"""A column of few values moves by so many of them without a change; chosen on small counts."""


@dataclass(frozen=True, kw_only=True)
class UsualLevels:
    """Levels of a reference's newest windows, and the limits of usual jumps."""

    newest: Floats
    """Of the last windows, shape ``(windows, columns, levels)``."""
    limits: dict[int, Floats]
    """By the windows of a span, the largest usual difference of medians, shape ``(columns, levels)``."""


def measured_columns(sketch: Sketch) -> tuple[str, ...]:
    """Return the numeric columns of a reference that have values enough to have a unit, and seldom none or zero."""
    columns = {name: sketch.column(name) for name in sketch.layout.numeric}
    return tuple(
        name
        for name, column in columns.items()
        if np.count_nonzero(column.counts) >= _LEAST_BINS
        and column.missing < column.rows / 2
        and _zeros(column) <= _MOST_ZEROS * column.present
    )


def _zeros(column: ColumnSketch) -> int:
    """Return the number of values in the bin of zero, which has no others where zeros are many."""
    assert isinstance(column.form, Bins)
    return int(column.counts[np.searchsorted(column.form.edges, 0.0)])


def levels(sketch: Sketch, names: Sequence[str]) -> Floats:
    """Return the levels of columns in one window, shape ``(columns, levels)``; NaN where one is not defined.

    They are three quantiles (10, 50, 90 %), the logarithm of the distance of the outer ones, and the logarithms of the
    median and the upper one, which in a positive column a change of scale moves alike in any season; then the least
    value, the mean and the greatest one, which are exact even where the reference has no bins.
    """
    columns = [sketch.column(name) for name in names]
    found = np.array([quantiles(column) for column in columns]).reshape(len(names), len(_SHARES))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.column_stack([found[:, 2] - found[:, 0], found[:, 1], found[:, 2]]))
    exact = np.array([(column.low, column.mean, column.high) for column in columns]).reshape(len(names), 3)
    return np.concatenate([found, np.where(np.isfinite(logs), logs, np.nan), exact], axis=1)


def quantiles(column: ColumnSketch) -> tuple[float, ...]:
    """Return the 10, 50 and 90 % quantiles, interpolated inside of fine bins; NaN where there are too few rows.

    The outer bins end with the least and the greatest value, so that values that a reference does not have are placed.
    """
    assert isinstance(column.form, Bins)
    if column.finite < _FEW_ROWS:
        return (math.nan,) * len(_SHARES)
    edges = np.clip(np.array([column.low, *column.form.edges, column.high]), column.low, column.high)
    below = np.append(0, column.counts.cumsum())
    return tuple(np.interp(np.array(_SHARES) * below[-1], below, edges).tolist())


def usual_levels(windows: Sequence[Sketch], reference: Sketch, names: Sequence[str], *, alpha: float) -> UsualLevels:
    """Return the levels of successive windows of a reference; no limits where there are too few of them.

    A jump is usual up to Student's quantile at ``alpha`` of as many independent differences as the windows hold, and
    up to somewhat more than the largest one among them.
    """
    held = np.array([levels(window, names) for window in windows]).reshape(len(windows), len(names), LEVELS)
    newest = held[-max(SPANS) :]
    if len(windows) < _LEAST_WINDOWS or not names:
        return UsualLevels(newest=newest, limits={})
    least = np.array([_least_jump(reference.column(name)) for name in names])
    limits = {}
    for span in SPANS:
        found = np.abs(jumps(held, span))
        known = np.isfinite(found)
        found = np.where(known, found, 0.0)
        root = np.sqrt((found**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
        far = -student_quantile(max(len(windows) // span - 2, 2), alpha / 2)
        limits[span] = np.maximum.reduce([least, far * root, _BEYOND * found.max(axis=0)])
    return UsualLevels(newest=newest, limits=limits)


def _least_jump(column: ColumnSketch) -> list[float]:
    """Return the smallest jump of each level that counts, however alike the reference's windows are."""
    assert isinstance(column.form, Bins)
    low, _, high = quantiles(column)
    centres = np.array(column.form.centres)
    steps = max(1, int(np.count_nonzero(column.counts[(centres >= low) & (centres <= high)])))
    move = max(_LEAST_MOVE * column.form.scale, _STEPS * (high - low) / steps)
    ratio = max(_LEAST_RATIO, math.log1p(_STEPS / steps))
    return [move] * 3 + [ratio] * 3 + [move] * 3


def jumps(held: Floats, span: int) -> Floats:
    """Return the median of the windows of a span less that of the span before, for each window that may begin one.

    Shape ``(windows - 2 * span + 1, columns, levels)``: the first is of the window number ``span``.
    """
    if len(held) < 2 * span:
        return held[:0]
    medians: NDArray[np.float64] = np.median(sliding_window_view(held, span, axis=0), axis=-1)
    return medians[span:] - medians[:-span]
