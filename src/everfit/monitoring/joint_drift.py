"""Joint drift of all columns, by a domain classifier: it notices that two columns no longer go together.

It takes raw rows and seconds, where :func:`~everfit.monitoring.drift.drift` takes sketches and milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from statistics import NormalDist

import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.finding import Finding
from everfit.definitions.watch import Drift
from everfit.measures.weighting import Floats
from everfit.monitoring.feature_matrix import FeatureMatrix
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.windows import LEAST_ROWS, WINDOW, placed

_MOST_ROWS = 500
"""Of a window."""
_TIMES = 2
"""As many rows of the reference as of the window."""
_BLOCKS = 16
_LEAST_BLOCKS = 7
_FOLDS = 2
"""Measured: two keep 94 to 97 % of the distance from the usual areas that five give, at two fifths of the cost."""
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
    rows: pl.DataFrame,
    reference: ReferenceProfile,
    watch: Drift,
    *,
    start: datetime,
    end: datetime,
    usual: Callable[[int], Floats | None] | None = None,
) -> Together | None:
    """Tell a window from the reference, compared with how well the reference's own windows are told apart.

    The rows of a day are never like independent draws from a year, so that the classifier's own p-value would cry every
    day. What counts is whether it does better than on sixteen windows of the reference: their areas are taken for
    normal, and a new one's distance for Student's. That is one test more beside those of the columns, with the same
    share of alpha as each of them. ``None`` where there are too few rows, or too few windows of the reference.

    Args:
        usual: Returns :func:`usual_areas` of the reference for a number of rows, which take seconds, from where they
            are kept; they are computed without it.
    """
    from scipy.special import stdtr

    blocks = _blocks(reference)
    if not blocks or rows.height < LEAST_ROWS:
        return None
    size = min(_MOST_ROWS, rows.height, *(part.height for part in blocks))
    areas = usual_areas(reference, size) if usual is None else usual(size)
    if areas is None:
        return None
    found = _AreaOfRows(reference, size).of(rows, reference.rows)
    mean, deviation = float(areas.mean()), float(areas.std(ddof=1))
    # Even where the reference's windows chance to be alike, an area of so few rows is no surer than that.
    spread = max(deviation, math.sqrt(1.0 / (12.0 * size))) * math.sqrt(1.0 + 1.0 / len(areas))
    p_value = min(1.0, reference.tests * float(stdtr(len(areas) - 1, (mean - found) / spread)))
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


def usual_areas(reference: ReferenceProfile, size: int) -> Floats | None:
    """Return the areas of windows of the reference, each told from all others, shape ``(windows,)``.

    They depend on the reference and the number of rows only. ``None`` if there are too few windows.
    """
    rows = placed(reference.rows, reference.window)
    area = _AreaOfRows(reference, size)
    found = [area.of(part, rows.filter(pl.col(WINDOW) != part[WINDOW][0])) for part in _blocks(reference)]
    return np.array(found) if found else None


def _blocks(reference: ReferenceProfile) -> list[pl.DataFrame]:
    """Return windows of the reference, evenly over its time; none if there are too few."""
    parts = placed(reference.rows, reference.window).partition_by(WINDOW, maintain_order=True)
    blocks = [part for part in parts if part.height >= LEAST_ROWS]
    if len(blocks) < _LEAST_BLOCKS:
        return []
    return [blocks[place] for place in np.linspace(0, len(blocks) - 1, min(_BLOCKS, len(blocks)), dtype=int)]


class _AreaOfRows:
    """Area under the ROC curve of a classifier on samples of a fixed size."""

    def __init__(self, reference: ReferenceProfile, size: int) -> None:
        self._matrix, self._size = FeatureMatrix(reference.rows, reference.features), size

    def of(self, window: pl.DataFrame, others: pl.DataFrame) -> float:
        old = self._matrix.of(others.sample(min(_TIMES * self._size, others.height), seed=0))
        return domain_auc(old, self._matrix.of(window.sample(self._size, seed=0)))


def domain_auc(reference: Floats, window: Floats) -> float:
    """Return the mean area under the ROC curve of a classifier that tells a window's rows from the reference's.

    It is measured on rows held back, in two folds: a classifier two-sample test (Lopez-Paz, Oquab 2017, "Revisiting
    classifier two-sample tests"). Rows are float64, shape ``(rows, features)``; NaN is missing, a category a whole
    number from 0.
    """
    rng = np.random.default_rng(0)
    rows = np.concatenate([reference, window])
    label = np.repeat([0, 1], [len(reference), len(window)])
    fold = np.concatenate([rng.permutation(len(side)) % _FOLDS for side in (reference, window)])
    return float(np.mean([_area(rows, label, fold == held) for held in range(_FOLDS)]))


def _area(rows: Floats, label: NDArray[np.int64], held: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve on rows held back: the Mann-Whitney statistic.

    Extremely randomised trees: on some thousand rows ten times as fast as boosting, most of all beside a busy machine's
    other threads. For two classes the squared error ranks splits as Gini's impurity does, and the mean of a leaf is the
    probability; so these are, but for ties, the trees of scikit-learn's ``ExtraTreesClassifier`` for balanced classes
    with the seed 0, without a classifier's validation of labels and the wrapper's of parameters: for trees of some
    hundred rows more than half of the time.
    """
    from sklearn import config_context
    from sklearn.tree import ExtraTreeRegressor

    known, truth = np.asfortranarray(rows[~held], dtype=np.float32), label[~held]
    unseen = np.ascontiguousarray(rows[held], dtype=np.float32)
    balanced = (len(truth) / (2.0 * np.bincount(truth)))[truth]
    seeds, said = np.random.RandomState(0), np.zeros(len(unseen))
    has_missing = bool(np.isnan(known).any())  # a tree looks for them only while it checks its input
    target = truth[:, np.newaxis].astype(np.float64)
    with config_context(skip_parameter_validation=True, assume_finite=True):
        for _ in range(_TREES):
            seed = seeds.randint(np.iinfo(np.int32).max)
            tree = ExtraTreeRegressor(min_samples_leaf=10, max_features="sqrt", random_state=seed)
            tree.fit(known, target, sample_weight=balanced, check_input=has_missing)
            said += tree.predict(unseen, check_input=False)
    scores, place = np.unique(said / _TREES, return_inverse=True)
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
