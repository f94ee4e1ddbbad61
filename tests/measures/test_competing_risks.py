from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from everfit.measures.competing_risks import WAITING, Incidence, cumulative_incidence
from everfit.measures.weighting import Floats

KINDS = 3
Codes = NDArray[np.int64]

rows = st.lists(st.tuples(st.integers(0, 12), st.integers(WAITING, KINDS - 1)), min_size=1, max_size=60)


def columns(drawn: list[tuple[int, int]]) -> tuple[Floats, Codes]:
    ages, codes = zip(*drawn, strict=True)
    return np.array(ages, np.float64), np.array(codes, np.int64)


def by_hand(ages: Floats, codes: Codes, until: float) -> tuple[float, list[float]]:
    """The definition, an age at a time."""
    waiting, happened = 1.0, [0.0] * KINDS
    for age in sorted(set(ages[codes != WAITING])):
        if age > until:
            break
        at_risk = sum(ages >= age)
        hits = [sum((ages == age) & (codes == kind)) for kind in range(KINDS)]
        for kind, count in enumerate(hits):
            happened[kind] += waiting * count / at_risk
        waiting *= 1 - sum(hits) / at_risk
    return waiting, happened


def handed_on(ages: Floats, codes: Codes) -> Floats:
    """Efron's way to the same: a censored row hands its mass on, in equal parts, to all rows that outlast it."""
    order = np.lexsort((codes == WAITING, ages))
    codes = codes[order]
    mass = np.full(len(codes), 1.0 / len(codes))
    for place in np.flatnonzero(codes == WAITING):
        later = len(codes) - place - 1
        if later:
            mass[place + 1 :] += mass[place] / later
            mass[place] = 0.0
    return np.array([mass[codes == kind].sum() for kind in range(KINDS)])


@given(rows, st.integers(-1, 14))
def test_it_is_the_product_and_sum_of_the_definition(drawn: list[tuple[int, int]], until: int) -> None:
    ages, codes = columns(drawn)
    found = cumulative_incidence(ages, codes, kinds=KINDS)
    waiting, happened = by_hand(ages, codes, until)
    place = found.place(np.array([float(until)]))
    assert found.waiting[place] == pytest.approx([waiting], abs=1e-12)
    assert found.incidence[found.place(np.array([float(until)]))][0] == pytest.approx(happened, abs=1e-12)


@given(rows)
def test_it_is_what_handing_on_the_mass_of_censored_rows_gives(drawn: list[tuple[int, int]]) -> None:
    ages, codes = columns(drawn)
    found = cumulative_incidence(ages, codes, kinds=KINDS)
    assert found.incidence[-1] == pytest.approx(handed_on(ages, codes), abs=1e-12)


@given(rows)
def test_what_happened_what_may_and_what_never_will_is_everything(drawn: list[tuple[int, int]]) -> None:
    found = cumulative_incidence(*columns(drawn), kinds=KINDS)
    assert found.incidence.sum(axis=1) + found.waiting == pytest.approx(np.ones(1 + len(found.ages)), abs=1e-12)
    ahead = found.waiting[:, None] * found.ahead
    assert found.incidence + ahead == pytest.approx(np.tile(found.incidence[-1], (len(ahead), 1)), abs=1e-12)


@given(rows)
def test_where_nothing_is_censored_it_counts(drawn: list[tuple[int, int]]) -> None:
    ages, codes = columns([row for row in drawn if row[1] != WAITING] or [(1, 0)])
    found = cumulative_incidence(ages, codes, kinds=KINDS)
    counted = np.array([[np.mean((ages <= age) & (codes == kind)) for kind in range(KINDS)] for age in found.ages])
    assert found.incidence[1:] == pytest.approx(counted, abs=1e-12)


@given(rows, st.lists(st.floats(-2, 2), min_size=KINDS, max_size=KINDS))
def test_the_variance_of_a_forecast_is_the_delta_methods(drawn: list[tuple[int, int]], value: list[float]) -> None:
    """Against the derivative by each hazard, taken numerically."""
    ages, codes = columns(drawn)
    found = cumulative_incidence(ages, codes, kinds=KINDS)
    waiting_ages = np.array([0.5, 0.5, 3.0, 20.0])
    reached = waiting_ages[found.waiting[found.place(waiting_ages)] > 0]
    worth = np.array(value)

    def forecast(hazards: Floats) -> float:
        total = 0.0
        for age in reached:
            later = found.ages > age
            curves = Incidence(found.ages[later], found.at_risk[later], (hazards * found.at_risk[:, None])[later])
            total += float(curves.incidence[-1] @ worth)
        return total

    influence = found.influence(reached, worth, ages, codes)
    assert influence.sum() == pytest.approx(0.0, abs=1e-9)
    assert (influence**2).sum() == pytest.approx(delta(found, forecast), abs=1e-5)


def delta(found: Incidence, figure: Callable[[Floats], float]) -> float:
    """The variance of a figure of the hazards, which are shares of the rows at risk at each age."""
    total, step = 0.0, 1e-6
    for place, rows_at_risk in enumerate(found.at_risk):
        hazard = found.hazards[place]
        slope = np.zeros(KINDS)
        for kind in range(KINDS):
            up, down = found.hazards.copy(), found.hazards.copy()
            up[place, kind] += step
            down[place, kind] -= step
            slope[kind] = (figure(up) - figure(down)) / (2 * step)
        total += float(slope @ (np.diag(hazard) - np.outer(hazard, hazard)) @ slope) / rows_at_risk
    return total


def test_the_curves_are_those_that_were_simulated() -> None:
    rng = np.random.default_rng(0)
    drawn = [simulate(rng, 400) for _ in range(400)]
    found = [cumulative_incidence(*each, kinds=2) for each in drawn]
    at = np.array([2.0])
    values = np.array([each.incidence[each.place(at)][0] for each in found])
    assert values.mean(axis=0) == pytest.approx([0.3 * (1 - np.exp(-2)), 0.7 * (1 - np.exp(-1))], abs=0.006)


def simulate(rng: np.random.Generator, size: int) -> tuple[Floats, Codes]:
    """Event 0 to three in ten after one day on average, event 1 to the rest after two, seen for up to five."""
    kind = (rng.random(size) >= 0.3).astype(np.int64)
    age = rng.exponential(1.0 + kind)
    seen = rng.uniform(0.0, 5.0, size)
    return np.minimum(age, seen), np.where(age <= seen, kind, WAITING)


def test_nothing_known_is_no_curve() -> None:
    found = cumulative_incidence(np.array([1.0, 2.0]), np.array([WAITING, WAITING]), kinds=2)
    assert found.incidence[found.place(np.array([5.0]))].tolist() == [[0.0, 0.0]]
    ages, codes = np.array([1.0, 2.0]), np.array([WAITING, WAITING])
    assert found.influence(np.array([1.0]), np.array([1.0, 0.0]), ages, codes).tolist() == [0.0, 0.0]
