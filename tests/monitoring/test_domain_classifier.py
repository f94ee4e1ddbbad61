from __future__ import annotations

import numpy as np
import pytest

from everfit.core.errors import DataError
from everfit.measures.weighting import Floats
from everfit.monitoring.domain_classifier import domain_drift


def rows(count: int, together: float, seed: int) -> Floats:
    """Two columns that are normal whatever ``together`` is, a category, and one that is often missing."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=count)
    second = together * first + np.sqrt(1 - together**2) * rng.normal(size=count)
    holes = np.where(rng.random(count) < 0.3, np.nan, rng.normal(size=count))
    return np.column_stack([first, second, rng.integers(0, 4, count), holes])


def test_columns_that_no_longer_go_together_are_noticed() -> None:
    found = domain_drift(rows(1_500, 0.0, 1), rows(1_000, 0.7, 2))
    assert found.auc > 0.6
    assert found.p_value < 1e-6
    assert (found.reference_rows, found.window_rows) == (1_500, 1_000)


@pytest.mark.slow
def test_without_drift_it_is_quiet() -> None:
    p_values = [domain_drift(rows(400, 0.5, seed), rows(200, 0.5, 1_000 + seed)).p_value for seed in range(30)]
    assert sum(p_value < 0.05 for p_value in p_values) <= 4
    assert np.mean(p_values) > 0.35


def test_time_is_bounded_by_a_choice_of_rows() -> None:
    found = domain_drift(rows(2_000, 0.0, 1), rows(2_000, 0.0, 2), most_rows=100)
    assert (found.reference_rows, found.window_rows) == (100, 100)
    assert found == domain_drift(rows(2_000, 0.0, 1), rows(2_000, 0.0, 2), most_rows=100)


def test_too_few_rows_and_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match="50 rows"):
        domain_drift(rows(100, 0.0, 1), rows(49, 0.0, 1))
    with pytest.raises(DataError, match="same columns"):
        domain_drift(rows(100, 0.0, 1), rows(100, 0.0, 1)[:, :2])
