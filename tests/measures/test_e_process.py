from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.errors import DataError
from everfit.measures.e_process import (
    BETS,
    Stakes,
    Wealth,
    betting_factors,
    go_on,
    lifetime_stakes,
    steady_stakes,
)
from everfit.measures.weighting import Floats

ALPHA = 0.05


def betting_evidence(losses: Floats, bound: float, *, stakes: Stakes = lifetime_stakes) -> Floats:
    return go_on(Wealth(), betting_factors(losses, bound), stakes=stakes)[1]


def one_by_one(losses: list[float], bound: float) -> list[float]:
    """The formula as it is written: M <- (M + w) * (1 + bet * (x - bound)), averaged over bets."""
    held, found = [0.0] * len(BETS), []
    for step, loss in enumerate(losses):
        stake = 1 / (2.109742801236892 * (step + 2) * math.log(step + 2) ** 2)
        held = [(each + stake) * (1 + bet / bound * (loss - bound)) for each, bet in zip(held, BETS, strict=True)]
        found.append(sum(held) / len(held))
    return found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=700), st.floats(0.01, 0.99))
def test_all_at_once_is_one_by_one(losses: list[float], bound: float) -> None:
    found = betting_evidence(np.array(losses), bound)
    expected = one_by_one(losses, bound)
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-9, atol=1e-9)


def test_what_came_before_is_not_changed_by_what_comes() -> None:
    losses = np.random.default_rng(0).random(2_000)
    whole = betting_evidence(losses, 0.6)
    np.testing.assert_allclose(betting_evidence(losses[:777], 0.6), whole[:777], rtol=1e-9)


def test_extremes_stay_finite() -> None:
    for bound in (1e-6, 0.5, 1 - 1e-6):
        for losses in (np.zeros(100_000), np.ones(100_000)):
            assert np.isfinite(betting_evidence(losses, bound)).all()


def test_new_stakes_never_exceed_the_whole() -> None:
    assert float(lifetime_stakes(10_000_000).sum()) < 1.0


@pytest.mark.parametrize("losses", [[1.1], [-0.1], [math.nan]])
def test_losses_outside_are_refused(losses: list[float]) -> None:
    with pytest.raises(DataError):
        betting_evidence(np.array(losses), 0.5)


@pytest.mark.slow
def test_a_life_has_a_false_alarm_with_the_stated_chance_and_a_true_one_soon() -> None:
    """The setting of the notes: errors at 10 %, and in a second run at 15 % from step 5,000."""
    dice = np.random.default_rng(1)
    false, delays = 0, []
    for _ in range(400):
        calm = (dice.random(20_000) < 0.1).astype(np.float64)
        false += bool((betting_evidence(calm, 0.1) >= math.log(1 / ALPHA)).any())
        worse = np.concatenate([calm[:5_000], (dice.random(15_000) < 0.15).astype(np.float64)])
        crossed = np.flatnonzero(betting_evidence(worse, 0.1) >= math.log(1 / ALPHA))
        if not len(crossed) or crossed[0] >= 5_000:
            delays.append(crossed[0] - 5_000 if len(crossed) else 15_000)
    sys.stdout.write(f"{false} of 400 lives with a false alarm, median delay {np.median(delays):.0f} steps\n")
    assert false <= ALPHA * 400
    assert np.median(delays) <= 1_000


@pytest.mark.slow
def test_an_old_good_period_does_not_delay() -> None:
    dice = np.random.default_rng(2)

    def median_delay(calm: int) -> float:
        delays = []
        for _ in range(60):
            losses = np.concatenate([dice.random(calm) < 0.05, dice.random(4_000) < 0.15]).astype(np.float64)
            delays.append(np.flatnonzero(betting_evidence(losses, 0.1) >= math.log(1 / ALPHA))[0] - calm)
        return float(np.median(delays))

    assert median_delay(40_000) < 2 * median_delay(1_000)


@pytest.mark.slow
def test_steady_stakes_are_quicker_and_keep_their_run_length() -> None:
    dice = np.random.default_rng(3)
    level = math.log(10_000)
    lengths = []
    for _ in range(60):
        crossed = np.flatnonzero(
            betting_evidence((dice.random(40_000) < 0.1).astype(np.float64), 0.1, stakes=steady_stakes) >= level
        )
        lengths.append(crossed[0] if len(crossed) else 40_000)
    assert np.mean(lengths) >= 10_000
