from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score

from everfit.measures.weighting import Floats
from everfit.monitoring.joint_drift import _FOLDS, _TREES, _area, domain_auc


def rows(count: int, together: float, seed: int) -> Floats:
    """Two columns that are normal whatever ``together`` is, a category, and one that is often missing."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=count)
    second = together * first + np.sqrt(1 - together**2) * rng.normal(size=count)
    holes = np.where(rng.random(count) < 0.3, np.nan, rng.normal(size=count))
    return np.column_stack([first, second, rng.integers(0, 4, count), holes])


def test_columns_that_no_longer_go_together_are_noticed() -> None:
    assert domain_auc(rows(1_500, 0.0, 1), rows(1_000, 0.7, 2)) > 0.6


def test_without_drift_it_is_quiet() -> None:
    areas = [domain_auc(rows(400, 0.5, seed), rows(200, 0.5, 1_000 + seed)) for seed in range(10)]
    assert abs(np.mean(areas) - 0.5) < 0.03


def test_the_same_rows_give_the_same_area() -> None:
    assert domain_auc(rows(200, 0.0, 1), rows(200, 0.0, 2)) == domain_auc(rows(200, 0.0, 1), rows(200, 0.0, 2))


def test_trees_are_those_of_the_ensemble() -> None:
    given, label = np.concatenate([rows(300, 0.0, 1), rows(150, 0.7, 2)]), np.repeat([0, 1], [300, 150])
    held = np.arange(450) % _FOLDS == 0
    for columns in (given, given[:, :3]):  # with missing values, and without
        ensemble = ExtraTreesClassifier(_TREES, min_samples_leaf=10, class_weight="balanced", random_state=0)
        scores = ensemble.fit(columns[~held], label[~held]).predict_proba(columns[held])[:, 1]
        assert np.isclose(_area(columns, label, held), roc_auc_score(label[held], scores), rtol=1e-12)
