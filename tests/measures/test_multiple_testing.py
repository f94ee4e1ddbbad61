from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.measures.confidence import alpha_per_window, holm


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
