from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from tests.monitoring.columns import CATEGORICAL, NUMERIC, SHAPES, count, draw, reference

from everfit.core.errors import DataError
from everfit.measures.bins import Bins, Categories, bins_of, categories_of
from everfit.measures.layout import SketchLayout
from everfit.measures.sketch import Sketch
from everfit.monitoring.drift import ColumnDrift, dispersions, drift

WINDOWS, ROWS = 200, 1_000


def test_stationary_windows_are_quiet_and_a_fifth_of_a_deviation_is_found() -> None:
    """The design's measured table, at a level that is good for a whole year of daily windows."""
    rng = np.random.default_rng(1)
    known, _ = reference([draw(rng, 50_000)])
    moved = {f"{shape}_0": 0.2 for shape in SHAPES}
    alarms, found = 0, dict.fromkeys(moved, 0)
    for _ in range(WINDOWS):
        alarms += any(each.drifted for each in drift(known, count(draw(rng, ROWS), known.layout)))
        for each in drift(known, count(draw(rng, ROWS, moved), known.layout)):
            if each.column in moved:
                found[each.column] += each.drifted
    assert alarms <= 0.01 * WINDOWS
    assert min(found.values()) >= 0.8 * WINDOWS, found


def false_alarms(seed: int, *, days: float, rows: int = 400) -> int:
    """Alarms in a year of daily windows, after sixty days of reference; ``days`` is how much days differ in level,
    with a memory of some days.
    """
    rng = np.random.default_rng(seed)
    levels = dict.fromkeys(NUMERIC, 0.0)

    def day() -> dict[str, float]:
        for name in levels:
            levels[name] = 0.5 * levels[name] + math.sqrt(0.75) * days * rng.normal()
        return levels

    known, blocks = reference([draw(rng, rows, day()) for _ in range(60)])
    learnt = dispersions(blocks) if days else None
    windows = (count(draw(rng, rows, day()), known.layout) for _ in range(365))
    return sum(any(each.drifted for each in drift(known, window, dispersions=learnt)) for window in windows)


@pytest.mark.slow
@pytest.mark.parametrize("days", [0.0, 0.1])
def test_a_stationary_year_is_silent(days: float) -> None:
    years = [false_alarms(seed, days=days) for seed in range(20)]
    assert sum(alarms > 0 for alarms in years) <= 1, years


def test_days_that_differ_are_no_drift_but_a_real_shift_is() -> None:
    rng = np.random.default_rng(5)

    def day() -> dict[str, float]:
        return {name: 0.1 * rng.normal() for name in NUMERIC}

    known, blocks = reference([draw(rng, ROWS, day()) for _ in range(40)])
    learnt = dispersions(blocks)
    window = count(draw(rng, ROWS, day()), known.layout)
    assert sum(each.drifted for each in drift(known, window)) >= 3, "independent rows would not differ like this"
    assert not any(each.drifted for each in drift(known, window, dispersions=learnt))
    shifted = count(draw(rng, ROWS, day() | {"normal_0": 1.0, "uniform_0": 1.0}), known.layout)
    found = [each.column for each in drift(known, shifted, dispersions=learnt) if each.drifted]
    assert sorted(found) == ["normal_0", "uniform_0"]


def test_a_large_window_does_not_cry_over_a_trifle() -> None:
    rng = np.random.default_rng(2)
    layout = SketchLayout({"x": bins_of(rng.normal(size=200_000))})
    known, trifle, shift = Sketch(layout), Sketch(layout), Sketch(layout)
    known.add({"x": rng.normal(size=1_000_000)})
    trifle.add({"x": rng.normal(size=1_000_000) + 0.02})
    shift.add({"x": rng.normal(size=1_000_000) + 0.2})
    (small,), (large,) = drift(known, trifle), drift(known, shift)
    assert small.p_value < 1e-9
    assert not small.drifted
    assert small.effect == pytest.approx(0.02, abs=0.005)
    assert large.drifted
    assert large.effect == pytest.approx(0.2, abs=0.02)
    assert large.mean_change == pytest.approx(0.2, abs=0.01)
    assert large.wasserstein == pytest.approx(0.2, abs=0.03)
    assert large.kolmogorov_smirnov == pytest.approx(math.erf(0.1 / math.sqrt(2)), abs=0.01)


def test_what_the_model_hardly_uses_ranks_low() -> None:
    rng = np.random.default_rng(3)
    known, _ = reference([draw(rng, 20_000)])
    window = count(draw(rng, 2_000, {"normal_0": 1.0, "normal_1": 0.4}), known.layout)
    assert [each.column for each in drift(known, window)][:2] == ["normal_0", "normal_1"]
    used = dict.fromkeys(NUMERIC, 1.0) | {"normal_0": 0.01}
    first, second = drift(known, window, importance=used)[:2]
    assert (first.column, first.rank, first.importance) == ("normal_1", 1, 1.0)
    assert (second.column, second.drifted, second.importance) == ("normal_0", True, 0.01)


def test_missing_and_unseen_values_are_drift() -> None:
    rng = np.random.default_rng(4)
    known, _ = reference([draw(rng, 20_000)])
    rows = draw(rng, 1_000)
    normal, names = np.array(rows["normal_0"]), list(rows[CATEGORICAL])
    normal[:200], names[:100] = np.nan, ["never seen"] * 100
    window = count({**rows, "normal_0": normal, CATEGORICAL: names}, known.layout)
    found = {each.column: each for each in drift(known, window)}
    assert {name for name, each in found.items() if each.drifted} == {"normal_0", CATEGORICAL}
    assert found["normal_0"].missing_share == found["normal_0"].missing_share_change == 0.2
    assert found[CATEGORICAL].unseen_share == 0.1
    assert found[CATEGORICAL].kolmogorov_smirnov is None


def test_a_column_that_always_has_new_values_is_quiet_until_it_has_more_of_them() -> None:
    """Like names of customers: a share of every window is new, though nothing has changed."""
    rng = np.random.default_rng(6)

    def names(rows: int, exponent: float = 1.5) -> list[str]:
        return [str(number) for number in rng.zipf(exponent, size=rows)]

    layout = SketchLayout({"name": categories_of(seen := names(5_000))})
    known = Sketch(layout)
    known.add({"name": seen})
    for _ in range(50):
        window = Sketch(layout)
        window.add({"name": names(1_000)})
        (found,) = drift(known, window, alpha=1e-3)
        assert found.unseen_share > 0.03
        assert not found.drifted, found
    changed = Sketch(layout)
    changed.add({"name": names(1_000, 1.3)})
    assert drift(known, changed)[0].drifted


def test_an_all_missing_window_is_drift_and_no_crash() -> None:
    layout = SketchLayout({"x": bins_of(np.arange(1_000.0)), "y": bins_of(np.zeros(1_000))})
    known, window = Sketch(layout), Sketch(layout)
    known.add({"x": np.arange(1_000.0), "y": np.zeros(1_000)})
    window.add({"x": np.full(1_000, np.nan), "y": np.ones(1_000)})
    found = drift(known, window)
    assert all(each.drifted for each in found), "the constant column came alive"
    gone = next(each for each in found if each.column == "x")
    assert (gone.wasserstein, gone.mean_change, gone.missing_share) == (None, None, 1.0)
    assert msgspec.json.decode(msgspec.json.encode(gone), type=ColumnDrift) == gone


def test_sketches_must_belong_together() -> None:
    one = SketchLayout({"x": Categories(values=("a",))})
    other = SketchLayout({"x": Bins(edges=(), coarse=(0,), centres=(0.0,), median=0.0, scale=1.0)})
    with pytest.raises(DataError, match="layout"):
        drift(Sketch(one), Sketch(other))
    with pytest.raises(DataError, match="rows on both sides"):
        drift(Sketch(one), Sketch(one))
    with pytest.raises(DataError, match="three windows"):
        dispersions([Sketch(one)])
