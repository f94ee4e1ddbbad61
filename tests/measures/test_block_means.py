"""Limits of a mean hold where values of a block depend on each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.measures.block_means import mean_limit


@pytest.mark.parametrize(("rows", "shock"), [(1, 0.0), (20, 0.0), (20, 1.0), (200, 3.0)])
@pytest.mark.parametrize("blocks", [4, 12, 40])
def test_the_limit_is_passed_as_seldom_as_promised(rows: int, shock: float, blocks: int) -> None:
    random, place, passed = np.random.default_rng([rows, blocks]), np.repeat(np.arange(blocks), rows), 0
    for _ in range(1_000):
        values = random.normal(size=len(place)) + random.normal(size=blocks)[place] * shock
        limit = mean_limit(values, place, alpha=0.05)
        assert limit is not None
        passed += limit.high < 0
    # Five of a hundred, and three standard errors of that.
    assert passed <= 71


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=30),
    st.floats(-1e3, 1e3),
    st.integers(1, 4),
    st.sampled_from([0.01, 0.05]),
)
def test_a_shift_moves_the_limits_and_the_order_does_not(
    values: list[float], by: float, size: int, alpha: float
) -> None:
    own = np.array(values)
    blocks = np.arange(len(own)) // size
    limit = mean_limit(own, blocks, alpha=alpha)
    if limit is None:
        assert len(set(blocks)) == 1
        return
    moved, turned = mean_limit(own + by, blocks, alpha=alpha), mean_limit(own[::-1], blocks[::-1], alpha=alpha)
    assert moved is not None
    assert turned is not None
    assert limit.low <= limit.mean <= limit.high
    assert limit.blocks == turned.blocks == len(set(blocks))
    assert moved.high == pytest.approx(limit.high + by, abs=1e-6)
    assert turned.high == pytest.approx(limit.high, abs=1e-6)


def test_one_block_says_nothing() -> None:
    assert mean_limit(np.ones(5), np.zeros(5), alpha=0.05) is None
