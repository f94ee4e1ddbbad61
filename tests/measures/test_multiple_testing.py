from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.measures.multiple_testing import alpha_at_look, alpha_per_window, holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.2))
def test_holm_steps_down(p_values: list[float], alpha: float) -> None:
    """Against the procedure as Holm stated it."""
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(holm(p_values)) if value <= alpha} == rejected


def test_nothing_to_correct() -> None:
    assert holm([]) == []
    assert holm([0.3]) == [0.3]


def test_a_year_spends_no_more_than_its_alpha() -> None:
    assert sum(alpha_per_window(0.05, 365) for _ in range(365)) == pytest.approx(0.05)


def test_a_life_spends_its_alpha_and_no_more() -> None:
    looks = np.arange(1, 2_000_001)
    spent = float((1.0 / ((looks + 1) * np.log(looks + 1) ** 2)).sum())
    # What is left is the integral of 1 / (x log² x).
    left = 1.0 / math.log(2_000_001.5)
    each = alpha_at_look(0.05, 1) * (2 * math.log(2) ** 2)
    assert each * (spent + left) == pytest.approx(0.05, rel=1e-6)
