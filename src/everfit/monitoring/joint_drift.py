"""Joint drift of all columns, by a domain classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.finding import Finding
from everfit.definitions.watch import Drift
from everfit.measures.confidence import alpha_per_window
from everfit.measures.weighting import Floats
from everfit.monitoring.data_quality import LEAST_ROWS
from everfit.monitoring.domain_classifier import domain_drift
from everfit.monitoring.feature_matrix import FeatureMatrix
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.windows import WINDOW, placed

_MOST_ROWS = 500
"""Of a window."""
_TIMES = 2
"""As many rows of the reference as of the window."""
_BLOCKS = 16
_LEAST_BLOCKS = 7


class Together(Struct, frozen=True, kw_only=True):
    """Accuracy with which a classifier tells a window from the reference, by all columns at once."""

    start: datetime
    end: datetime
    rows: int
    """Of the window, as many as were used."""
    auc: float
    """The chance that it scores a row of the window above one of the reference; 0.5 where there is nothing to tell."""
    usual_auc: float
    """The same for windows of the reference, each told from all the others: mean."""
    usual_deviation: float
    """Its standard deviation among them."""
    effect: float
    """By how much more it can than usual, as far as one normal column would have to move, in standard deviations."""
    p_value: float
    """The chance of such an area in a window of the reference, corrected for all that is tested beside it."""
    drifted: bool
    """True if the difference is significant and large enough."""


def look_together(
    rows: pl.DataFrame, reference: ReferenceProfile, watch: Drift, *, start: datetime, end: datetime, seed: int = 0
) -> Together | None:
    """Tell a window from the reference, compared with how well the reference's own windows are told apart.

    The rows of a day are never like independent draws from a year, so that the classifier's own p-value would cry every
    day. What counts is whether it does better than on sixteen windows of the reference: their areas are taken for
    normal, and a new one's distance for Student's. That is one test more beside those of the columns, with the same
    share of alpha as each of them.

    Args:
        rows: The window's, with the features.
        watch: What is worth saying.
        start: When the window begins.
        end: When it is over.
        seed: Of all choices.

    Returns:
        ``None`` where there are too few rows, or too few windows of the reference to learn from.
    """
    placed_rows = placed(reference.rows, reference.window)
    blocks = [part for part in placed_rows.partition_by(WINDOW, maintain_order=True) if part.height >= LEAST_ROWS]
    if len(blocks) < _LEAST_BLOCKS or rows.height < LEAST_ROWS:
        return None
    chosen = [blocks[place] for place in np.linspace(0, len(blocks) - 1, min(_BLOCKS, len(blocks)), dtype=int)]
    size = min(_MOST_ROWS, rows.height, *(part.height for part in chosen))
    matrix = FeatureMatrix(reference.rows, reference.features)

    def area(window: pl.DataFrame, others: pl.DataFrame) -> float:
        sides = [others.sample(min(_TIMES * size, others.height), seed=seed), window.sample(size, seed=seed)]
        old, new = (matrix.of(side) for side in sides)
        return domain_drift(old, new, seed=seed).auc

    others = (placed_rows.filter(pl.col(WINDOW) != part[WINDOW][0]) for part in chosen)
    usual = np.array([area(*pair) for pair in zip(chosen, others, strict=True)])
    found = area(rows, reference.rows)
    return _judge(found, usual, reference, watch, start=start, end=end, rows=size)


def _judge(
    found: float, usual: Floats, reference: ReferenceProfile, watch: Drift, *, start: datetime, end: datetime, rows: int
) -> Together:
    from scipy.stats import t

    mean, deviation = float(usual.mean()), float(usual.std(ddof=1))
    # Even where the reference's windows chance to be alike, an area of so few rows is no surer than that.
    spread = max(deviation, math.sqrt(1.0 / (12.0 * rows))) * math.sqrt(1.0 + 1.0 / len(usual))
    tests = len(reference.inputs.layout.columns) + len(reference.answers.layout.columns) + 1
    p_value = min(1.0, tests * float(t.sf((found - mean) / spread, len(usual) - 1)))
    a_year = 365 if isinstance(reference.window, int) else 365 * 86_400 / reference.window.total_seconds()
    effect = max(0.0, _moved(found) - _moved(mean))
    return Together(
        start=start,
        end=end,
        rows=rows,
        auc=found,
        usual_auc=mean,
        usual_deviation=deviation,
        effect=effect,
        p_value=p_value,
        drifted=p_value <= alpha_per_window(watch.alpha, a_year) and effect >= watch.effect,
    )


def _moved(auc: float) -> float:
    """Return the distance of two normal columns with this area under the ROC curve, in standard deviations."""
    return math.sqrt(2.0) * NormalDist().inv_cdf(min(max(auc, 0.5), 0.9999))


def together_finding(found: Together, drifted: Sequence[str], model: str) -> Finding | None:
    """Return the finding; ``None`` without drift, or where findings on single columns explain it.

    Args:
        found: What was found.
        drifted: Columns of which something is said.
    """
    if not found.drifted or drifted:
        return None
    return Finding(
        kind="joint_drift",
        model=model,
        severity="warning",
        sentence=f"The features no longer go together as they did, though none of them moved by itself: rows of the "
        f"newest window can be distinguished from the training rows with an ROC AUC of {found.auc:.2f}, where "
        f"{found.usual_auc:.2f} is usual.",
        numbers={
            "auc": found.auc,
            "usual_auc": found.usual_auc,
            "p_value": found.p_value,
            "effect": found.effect,
            "rows": found.rows,
        },
        since=found.start,
    )
