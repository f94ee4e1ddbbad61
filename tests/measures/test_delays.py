from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from everfit.measures.competing_risks import WAITING
from everfit.measures.delays import LEAST_OUTCOMES, MOST_WEIGHT, Delays, delays_of, inverse_weights, judging_weights
from everfit.measures.weighting import Floats

CLASSES = ("no", "yes")
Codes = NDArray[np.int64]

drawn = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 60), st.booleans()), min_size=1, max_size=200)


def seen(asked_ago: Floats, delay: Floats, truth: Codes) -> tuple[Delays, Floats, Codes]:
    """What an instant knows; with the ages and codes of the known rows."""
    known = delay <= asked_ago
    codes = np.where(known, truth, WAITING)
    delays = delays_of(np.where(known, delay, asked_ago), codes, asked_ago, classes=CLASSES)
    return delays, asked_ago[known], codes[known]


@given(drawn)
def test_weights_are_bounded_and_every_known_row_stands_at_least_for_itself(rows: list[tuple[int, int, bool]]) -> None:
    asked_ago, delay, truth = (np.array(part, np.float64) for part in zip(*rows, strict=True))
    delays, ages, codes = seen(asked_ago, delay, truth.astype(np.int64))
    inverse, judging = inverse_weights(delays, ages, codes), judging_weights(delays, ages, codes)
    assert ((inverse >= 1.0) & (inverse <= MOST_WEIGHT)).all()
    assert ((judging > 0.0) & (judging <= MOST_WEIGHT)).all()


@given(st.lists(st.tuples(st.integers(0, 90), st.booleans()), min_size=1, max_size=100), st.integers(0, 5))
def test_where_all_labels_take_the_same_time_known_rows_weigh_exactly_one(
    rows: list[tuple[int, bool]], delay: int
) -> None:
    asked_ago, truth = (np.array(part, np.float64) for part in zip(*rows, strict=True))
    delays, ages, codes = seen(asked_ago, np.full(len(rows), float(delay)), truth.astype(np.int64))
    assert (inverse_weights(delays, ages, codes) == 1.0).all()
    assert (judging_weights(delays, ages, codes) == 1.0).all()


def simulated(size: int = 40_000) -> tuple[Floats, Floats, Codes]:
    """Of 100 days, 30 % "yes", known after 5 days on average; "no" after 20."""
    random = np.random.default_rng(0)
    truth = (random.random(size) < 0.3).astype(np.int64)
    return random.uniform(0, 100, size), random.exponential(np.where(truth == 1, 5.0, 20.0)), truth


def test_known_rows_stand_for_all_that_were_asked() -> None:
    asked_ago, delay, truth = simulated()
    delays, ages, codes = seen(asked_ago, delay, truth)
    weight = inverse_weights(delays, ages, codes)
    # The youngest rows would need more than the cap allows.
    assert weight.sum() == pytest.approx(len(truth), rel=0.03)
    assert np.average(codes, weights=weight) == pytest.approx(0.3, abs=0.01)
    assert codes.mean() > 0.32


def test_every_class_is_known_by_the_mature_age() -> None:
    delays, _, _ = seen(*simulated())
    slow = delays.by_class[0].p90_s
    assert delays.age_known_s(0.9) == slow == pytest.approx(20 * np.log(10), rel=0.05)
    overall = delays.overall.p90_s
    assert overall is not None
    assert slow is not None
    assert overall < slow


def test_a_handful_of_outcomes_says_nothing() -> None:
    few = np.full(LEAST_OUTCOMES - 1, 50.0)
    delays, ages, codes = seen(few, np.zeros(len(few)), np.arange(len(few)) % 2)
    assert delays.age_known_s(0.9) is None
    assert (inverse_weights(delays, ages, codes) == 1.0).all()
