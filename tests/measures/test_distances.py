from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats
from scipy.spatial import distance

from everfit.measures.distances import jensen_shannon, kolmogorov_smirnov, psi, psi_by_chance, wasserstein
from everfit.measures.two_sample_tests import chi_squared, pool, rank_shift

Counts = NDArray[np.int64]


@st.composite
def two_samples(draw: st.DrawFn, least: int = 0) -> tuple[Counts, Counts]:
    cells = draw(st.integers(2, 30))
    samples = [
        np.array(draw(st.lists(st.integers(least, 400), min_size=cells, max_size=cells)), dtype=np.int64)
        for _ in range(2)
    ]
    assume(all(sample.any() for sample in samples))
    return samples[0], samples[1]


def near(value: float, expected: Any) -> bool:
    return math.isclose(value, float(expected), rel_tol=1e-9, abs_tol=1e-9)


@given(two_samples(least=1))
def test_psi_is_both_relative_entropies(samples: tuple[Counts, Counts]) -> None:
    p, q = (sample / sample.sum() for sample in samples)
    assert near(psi(*samples), special.rel_entr(p, q).sum() + special.rel_entr(q, p).sum())


@given(two_samples())
def test_psi_is_finite_and_symmetric_with_empty_cells(samples: tuple[Counts, Counts]) -> None:
    assert math.isfinite(psi(*samples))
    assert near(psi(*samples), psi(*reversed(samples)))


@given(two_samples())
def test_jensen_shannon_is_scipys(samples: tuple[Counts, Counts]) -> None:
    # SciPy takes the root of rounding errors where both are equal.
    expected = float(np.nan_to_num(distance.jensenshannon(*samples, base=2)))
    assert math.isclose(jensen_shannon(*samples) ** 2, expected**2, rel_tol=1e-9, abs_tol=1e-12)


@given(two_samples())
def test_kolmogorov_smirnov_is_scipys(samples: tuple[Counts, Counts]) -> None:
    rows = [np.repeat(np.arange(len(sample)), sample) for sample in samples]
    assert near(kolmogorov_smirnov(*samples), stats.ks_2samp(*rows, method="asymp").statistic)


@given(two_samples(), st.integers(0, 2**32 - 1))
def test_wasserstein_is_scipys(samples: tuple[Counts, Counts], seed: int) -> None:
    centres = np.sort(np.random.default_rng(seed).normal(size=len(samples[0])))
    expected = stats.wasserstein_distance(centres, centres, *samples)
    assert near(wasserstein(*samples, centres), expected)


@given(two_samples())
def test_chi_squared_is_scipys_on_the_pooled_table(samples: tuple[Counts, Counts]) -> None:
    pooled = pool(*samples)
    assert [one.sum() for one in pooled] == [one.sum() for one in samples]
    found = chi_squared(*samples)
    if len(pooled[0]) < 2:
        assert (found.degrees, found.p_value) == (0, 1.0)
        return
    expected = stats.chi2_contingency(np.stack(pooled), correction=False)
    assert near(found.statistic, expected.statistic)
    assert found.degrees == expected.dof
    assert near(found.p_value, expected.pvalue)
    ratio = stats.chi2_contingency(np.stack(pooled), correction=False, lambda_="log-likelihood")
    assert near(found.deviance, ratio.statistic)
    assert near(found.cautious_p_value, max(expected.pvalue, ratio.pvalue))


@given(two_samples())
def test_rank_shift_is_scipys(samples: tuple[Counts, Counts]) -> None:
    rows = [np.repeat(np.arange(len(sample)), sample) for sample in samples]
    found = rank_shift(*samples)
    assert found == -rank_shift(*reversed(samples)) or near(found, -rank_shift(*reversed(samples)))
    if len(np.unique(np.concatenate(rows))) > 1:
        expected = stats.mannwhitneyu(*rows, method="asymptotic", use_continuity=False)
        assert near(2 * stats.norm.sf(abs(found)), expected.pvalue)
    else:
        assert found == 0.0


def test_psi_is_calibrated_by_the_numbers_of_rows() -> None:
    rng = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    values = [psi(rng.multinomial(20_000, shares), rng.multinomial(1_000, shares)) for _ in range(4_000)]
    assert np.mean(values) == pytest.approx(psi_by_chance(10, 20_000, 1_000), rel=0.05)


@pytest.mark.parametrize("distance", [psi, jensen_shannon, kolmogorov_smirnov])
def test_an_empty_sample_is_no_distance(distance: Any) -> None:
    rows, none = np.array([3, 4]), np.array([0, 0])
    assert math.isnan(distance(rows, none))
    assert math.isnan(distance(none, rows))
    assert distance(rows, rows) == pytest.approx(0.0, abs=1e-12)
    assert chi_squared(rows, none).p_value == 1.0
    assert rank_shift(rows, none) == 0.0
    assert math.isnan(wasserstein(rows, none, np.array([0.0, 1.0])))
