from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from everfit.measures.confidence import wilson_interval


@given(st.integers(1, 10_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_equals_scipys(counts: tuple[int, int]) -> None:
    hits, rows = counts
    expected = stats.binomtest(hits, rows).proportion_ci(method="wilson", confidence_level=0.99)
    assert wilson_interval(hits, rows, level=0.99) == pytest.approx((expected.low, expected.high), abs=1e-12)
