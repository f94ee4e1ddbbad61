from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.isotonic import IsotonicRegression

from everfit.core.errors import DataError
from everfit.measures.calibration import isotonic
from everfit.measures.weighting import Floats


@given(st.data(), st.integers(1, 60))
def test_is_scikit_learns_but_for_certainty(data: st.DataObject, rows: int) -> None:
    """Scores on a coarse grid, so that many are tied."""
    scores = data.draw(arrays.arrays(np.float64, rows, elements=st.integers(0, 12))) / 12
    truth = data.draw(arrays.arrays(np.float64, rows, elements=st.sampled_from([0.0, 1.0])))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, truth).predict(scores)
    found = isotonic(scores, truth).of(scores)
    certain = (theirs == 0.0) | (theirs == 1.0)
    np.testing.assert_allclose(found[~certain], theirs[~certain], atol=1e-12)
    assert (np.diff(found[np.argsort(scores)]) >= 0).all()
    assert 0 < found.min() <= found.max() < 1


def test_what_was_never_contradicted_may_still_be() -> None:
    scores = np.arange(10.0)
    assert isotonic(scores, np.zeros(10)).of(scores) == pytest.approx([1 / 12] * 10)
    assert isotonic(scores, np.ones(10)).of(scores) == pytest.approx([11 / 12] * 10)
    # Two rows alike are no reason to expect less than what twenty have shown.
    many = isotonic(np.repeat([1.0, 2.0, 3.0], [2, 20, 2]), np.array([0, 0, 1, *[0] * 19, 1, 1.0]))
    assert many.chances.tolist() == pytest.approx([0.05, 0.05, 0.75])


def test_keeps_the_mean_and_what_is_calibrated() -> None:
    dice = np.random.default_rng(0)
    scores = dice.random(200_000)
    truth = (dice.random(200_000) < scores).astype(np.float64)
    found = isotonic(scores, truth)
    assert found.of(scores).mean() == pytest.approx(truth.mean(), abs=1e-4)
    np.testing.assert_allclose(found.of(np.linspace(0.05, 0.95, 19)), np.linspace(0.05, 0.95, 19), atol=0.03)
    assert len(found.scores) < 1_000


@pytest.mark.parametrize("scores", [np.empty(0), np.array([0.1, np.nan])])
def test_needs_finite_scores(scores: Floats) -> None:
    with pytest.raises(DataError, match="finite scores"):
        isotonic(scores, np.zeros(len(scores)))
