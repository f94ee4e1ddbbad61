"""Joint drift of all columns, by a domain classifier: it notices that two columns no longer go together.

It takes raw rows and seconds, where :func:`~everfit.monitoring.drift.drift` takes sketches and milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.finding import Finding
from everfit.definitions.watch import Drift
from everfit.measures.weighting import Floats
from everfit.monitoring.data_quality import LEAST_ROWS
from everfit.monitoring.feature_matrix import FeatureMatrix
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.windows import WINDOW, placed

_MOST_ROWS = 500
"""Of a window."""
_TIMES = 2
"""As many rows of the reference as of the window."""
_BLOCKS = 16
_LEAST_BLOCKS = 7
_FOLDS = 5
_TREES = 40


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
    rows: pl.DataFrame, reference: ReferenceProfile, watch: Drift, *, start: datetime, end: datetime
) -> Together | None:
    """Tell a window from the reference, compared with how well the reference's own windows are told apart.

    The rows of a day are never like independent draws from a year, so that the classifier's own p-value would cry every
    day. What counts is whether it does better than on sixteen windows of the reference: their areas are taken for
    normal, and a new one's distance for Student's. That is one test more beside those of the columns, with the same
    share of alpha as each of them. ``None`` where there are too few rows, or too few windows of the reference.
    """
    from scipy.stats import t

    placed_rows = placed(reference.rows, reference.window)
    blocks = [part for part in placed_rows.partition_by(WINDOW, maintain_order=True) if part.height >= LEAST_ROWS]
    if len(blocks) < _LEAST_BLOCKS or rows.height < LEAST_ROWS:
        return None
    chosen = [blocks[place] for place in np.linspace(0, len(blocks) - 1, min(_BLOCKS, len(blocks)), dtype=int)]
    size = min(_MOST_ROWS, rows.height, *(part.height for part in chosen))
    matrix = FeatureMatrix(reference.rows, reference.features)

    def area(window: pl.DataFrame, others: pl.DataFrame) -> float:
        old = matrix.of(others.sample(min(_TIMES * size, others.height), seed=0))
        return domain_auc(old, matrix.of(window.sample(size, seed=0)))

    usual = np.array([area(part, placed_rows.filter(pl.col(WINDOW) != part[WINDOW][0])) for part in chosen])
    found = area(rows, reference.rows)
    mean, deviation = float(usual.mean()), float(usual.std(ddof=1))
    # Even where the reference's windows chance to be alike, an area of so few rows is no surer than that.
    spread = max(deviation, math.sqrt(1.0 / (12.0 * size))) * math.sqrt(1.0 + 1.0 / len(usual))
    p_value = min(1.0, reference.tests * float(t.sf((found - mean) / spread, len(usual) - 1)))
    effect = max(0.0, _moved(found) - _moved(mean))
    return Together(
        start=start,
        end=end,
        rows=size,
        auc=found,
        usual_auc=mean,
        usual_deviation=deviation,
        effect=effect,
        p_value=p_value,
        drifted=p_value <= reference.window_level(watch.alpha) and effect >= watch.effect,
    )


def domain_auc(reference: Floats, window: Floats) -> float:
    """Return the mean area under the ROC curve of a classifier that tells a window's rows from the reference's.

    It is measured on rows held back, in five folds: a classifier two-sample test (Lopez-Paz, Oquab 2017, "Revisiting
    classifier two-sample tests"). Rows are float64, shape ``(rows, features)``; NaN is missing, a category a whole
    number from 0.
    """
    rng = np.random.default_rng(0)
    rows = np.concatenate([reference, window])
    label = np.repeat([0, 1], [len(reference), len(window)])
    fold = np.concatenate([rng.permutation(len(side)) % _FOLDS for side in (reference, window)])
    return float(np.mean([_area(rows, label, fold == held) for held in range(_FOLDS)]))


def _area(rows: Floats, label: NDArray[np.int64], held: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve on rows held back: the Mann-Whitney statistic."""
    from sklearn.ensemble import ExtraTreesClassifier

    # On some thousand rows ten times as fast as boosting, most of all beside a busy machine's other threads.
    classifier = ExtraTreesClassifier(
        n_estimators=_TREES, min_samples_leaf=10, class_weight="balanced", random_state=0, n_jobs=1
    )
    classifier.fit(rows[~held], label[~held])
    scores, place = np.unique(classifier.predict_proba(rows[held])[:, 1], return_inverse=True)
    one, other = (np.bincount(place[label[held] == side], minlength=len(scores)) for side in (0, 1))
    wins = float((other * (one.cumsum() - one / 2.0)).sum())
    return wins / float(one.sum() * other.sum())


def _moved(auc: float) -> float:
    """Return the distance of two normal columns with this area under the ROC curve, in standard deviations."""
    return math.sqrt(2.0) * NormalDist().inv_cdf(min(max(auc, 0.5), 0.9999))


def together_finding(found: Together, drifted: Sequence[str], model: str) -> Finding | None:
    """Return the finding; ``None`` without drift, or where findings on single columns explain it."""
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
