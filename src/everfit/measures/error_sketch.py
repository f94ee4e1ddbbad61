"""What remains of a regression's rows whose labels are known: exact error moments and a histogram of errors.

It is a :class:`~everfit.measures.sketch.Sketch` like any other, of columns made from label and prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from everfit.measures.bins import Bins, bins_of
from everfit.measures.layout import Layout
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.measures.weighting import Floats


def error_columns(truth: Floats, predicted: Floats) -> Mapping[str, Floats]:
    """The columns of an error sketch; both arguments of shape ``(rows,)``, in the label's unit.

    >>> error_columns(np.array([1.0, 2.0]), np.array([2.0, 0.0]))["absolute"].tolist()
    [1.0, 2.0]
    """
    short = truth - predicted
    return {
        "error": predicted - truth,
        "absolute": np.abs(short),
        "pinball_10": np.maximum(0.1 * short, -0.9 * short),
        "pinball_90": np.maximum(0.9 * short, -0.1 * short),
        "label": truth,
    }


def error_layout(truth: Floats, predicted: Floats) -> Layout:
    """The layout of an error sketch, its bins at the quantiles of a reference's errors.

    Args:
        truth: The reference's labels, shape ``(rows,)``.
        predicted: What the model said, shape ``(rows,)``.

    Raises:
        DataError: If there is no finite label and prediction.
    """
    # Of all but the errors only the moments are wanted.
    fine = {"error": 200}
    columns = error_columns(truth, predicted).items()
    return Layout({name: bins_of(values, fine=fine.get(name, 2), coarse=2) for name, values in columns})


def error_metrics(sketch: Sketch) -> dict[str, float]:
    """Every metric of a regression under the names of :mod:`everfit.measures.quality`, exact; NaN where undefined.

    >>> truth, predicted = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    >>> sketch = Sketch(error_layout(truth, predicted))
    >>> sketch.add(error_columns(truth, predicted))
    >>> {name: round(value, 3) for name, value in error_metrics(sketch).items()}
    {'mae': 0.333, 'rmse': 0.577, 'pinball_10': 0.3, 'pinball_90': 0.033, 'bias': 0.333, 'r2': 0.5}
    """
    columns = {name: sketch.column(name) for name in sketch.layout.columns}
    error, label = columns["error"], columns["label"]
    squared = error.mean**2 + error.deviation**2
    return {
        "mae": columns["absolute"].mean,
        "rmse": math.sqrt(squared),
        "pinball_10": columns["pinball_10"].mean,
        "pinball_90": columns["pinball_90"].mean,
        "bias": error.mean,
        "r2": 1.0 - squared / label.deviation**2 if label.deviation > 0 else math.nan,
    }


def quantile(column: ColumnSketch, share: float) -> float:
    """The value below which that share of a numeric column's rows lies, interpolated within a bin; NaN without rows.

    Outer bins reach to the least and the greatest finite value.

    >>> sketch = Sketch(Layout({"error": bins_of(np.arange(1.0, 101.0))}))
    >>> sketch.add({"error": np.arange(1.0, 101.0)})
    >>> quantile(sketch.column("error"), 0.9)
    90.0
    """
    assert isinstance(column.form, Bins)
    if column.finite == 0:
        return math.nan
    ends = np.clip([column.low, *column.form.edges, column.high], column.low, column.high)
    below = np.append(0, column.counts.cumsum()) / column.present
    return float(np.interp(share, below, ends))
