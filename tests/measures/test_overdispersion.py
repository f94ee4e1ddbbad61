from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from everfit.measures.overdispersion import Dispersion, dispersion, effective_rows
from everfit.measures.two_sample_tests import ChiSquared, chi_squared


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 60, 250])
@pytest.mark.parametrize("tail", [0.5, 0.01, 1e-6])
def test_without_excess_it_is_chi_squared(degrees: int, tail: float) -> None:
    none = Dispersion(blocks=10**7, excess=0.0, shift_excess=0.0)
    limit = float(stats.chi2.isf(tail, degrees))
    found = ChiSquared(statistic=limit, deviance=limit, degrees=degrees, p_value=tail)
    assert none.p_value(found, 500.0) == pytest.approx(tail, rel=1e-3)
    assert none.shift_p_value(float(stats.norm.isf(tail / 2)), 500.0) == pytest.approx(tail, rel=1e-3)


@pytest.mark.parametrize("statistic", [5.0, 40.0, 300.0, 1e7])
def test_excess_is_one_wide_direction(statistic: float) -> None:
    rng = np.random.default_rng(0)
    some = Dispersion(blocks=30, excess=0.02, shift_excess=0.0)
    drawn = rng.chisquare(8, 1_000_000) + 11 * rng.f(1, 30, 1_000_000)
    found = ChiSquared(statistic=statistic, deviance=statistic, degrees=9, p_value=0.0)
    assert some.p_value(found, 500.0) == pytest.approx((drawn > statistic).mean(), rel=0.02, abs=3e-5)


def test_it_makes_days_that_differ_look_usual() -> None:
    rng = np.random.default_rng(1)

    def day() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return rng.multinomial(1_000, rng.dirichlet(np.full(10, 30.0)))

    blocks = [day() for _ in range(60)]
    known = np.sum(blocks, axis=0)
    learnt = dispersion(blocks, ordered=10)
    rows = effective_rows(int(known.sum()), 1_000)
    found = [chi_squared(known, day()) for _ in range(2_000)]
    assert np.mean([each.p_value < 0.01 for each in found]) > 0.3
    assert np.mean([learnt.p_value(each, rows) < 0.01 for each in found]) < 0.012


def test_empty_windows_teach_nothing() -> None:
    quiet = dispersion([np.array([50, 50]), np.array([0, 0]), np.array([50, 50])], ordered=2)
    assert (quiet.blocks, quiet.excess, quiet.shift_excess) == (2, 0.0, 0.0)
    assert dispersion([np.zeros(2, dtype=np.int64)] * 3).excess == 0.0
