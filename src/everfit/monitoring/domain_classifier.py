"""Domain classifier: drift as the accuracy with which a model tells a window from the reference.

It sees what no look at single columns can: that two columns no longer go together. It takes raw rows and seconds, where
:func:`~everfit.monitoring.drift.drift` takes sketches and milliseconds.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.core.errors import DataError
from everfit.measures.weighting import Floats

MOST_ROWS = 20_000
_FOLDS = 5
_LEAST_ROWS = 50
_TREES = 40


class DomainDrift(Struct, frozen=True, kw_only=True):
    """Result of a domain classifier."""

    auc: float
    """The chance that it gives a row of the window a higher score than one of the reference; 0.5 where it cannot tell
    them apart, mean over the folds."""
    p_value: float
    """The chance of an area this large where there is nothing to tell apart."""
    reference_rows: int
    """Number of rows used."""
    window_rows: int


def domain_drift(
    reference: Floats,
    window: Floats,
    *,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> DomainDrift:
    """Train a classifier to tell window from reference, and score it on rows held back.

    The area under the curve on each of five folds is a Mann-Whitney statistic, so that its distribution without drift
    is known without permuting anything (Kim, Ramdas, Singh, Wasserman 2021, "Classification accuracy as a proxy for
    two-sample testing"; Lopez-Paz, Oquab 2017). That the folds' classifiers share most of their rows is allowed for as
    in Nadeau, Bengio 2003, "Inference for the generalization error".

    Args:
        reference: Rows the model learnt from, float64, shape ``(rows, features)``; NaN is missing, a category a whole
            number from 0.
        window: Rows to be told apart from them, the same columns.
        most_rows: Of either, chosen at random, so that the time is bounded.
        seed: Of the choice, the folds and the classifier.

    Raises:
        DataError: If there are fewer than 50 rows on a side, or the columns differ.
    """
    if reference.shape[1] != window.shape[1]:
        raise DataError("reference and window must have the same columns", value=(reference.shape, window.shape))
    if min(len(reference), len(window)) < _LEAST_ROWS:
        raise DataError(f"{_LEAST_ROWS} rows are needed on either side", value=(len(reference), len(window)))
    rng = np.random.default_rng(seed)
    sides = [_some(rows, most_rows, rng) for rows in (reference, window)]
    rows = np.concatenate(sides)
    label = np.repeat([0, 1], [len(side) for side in sides])
    fold = np.concatenate([rng.permutation(len(side)) % _FOLDS for side in sides])
    areas, deviates = zip(*(_judge(rows, label, fold == held, seed) for held in range(_FOLDS)), strict=True)
    return DomainDrift(
        auc=float(np.mean(areas)),
        p_value=math.erfc(float(np.mean(deviates)) / math.sqrt(2.0 * (1.0 / _FOLDS + 1.0 / (_FOLDS - 1)))) / 2.0,
        reference_rows=len(sides[0]),
        window_rows=len(sides[1]),
    )


def _some(rows: Floats, most: int, rng: np.random.Generator) -> Floats:
    return rows if len(rows) <= most else rows[rng.choice(len(rows), most, replace=False)]


def _judge(rows: Floats, label: NDArray[np.int64], held: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """Return the area under the ROC curve on rows held back, and its distance from one half in standard errors."""
    from sklearn.ensemble import ExtraTreesClassifier

    from everfit.measures.two_sample_tests import rank_shift

    # On some thousand rows ten times as fast as boosting, most of all beside a busy machine's other threads.
    classifier = ExtraTreesClassifier(
        n_estimators=_TREES, min_samples_leaf=10, class_weight="balanced", random_state=seed, n_jobs=1
    )
    classifier.fit(rows[~held], label[~held])
    chances = classifier.predict_proba(rows[held])[:, 1]
    scores, place = np.unique(chances, return_inverse=True)
    one, other = (np.bincount(place[label[held] == side], minlength=len(scores)) for side in (0, 1))
    wins = float((other * (one.cumsum() - one / 2.0)).sum())
    return wins / float(one.sum() * other.sum()), rank_shift(one, other)
