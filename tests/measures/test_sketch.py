from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from everfit.core.errors import DataError
from everfit.measures.bin_table import BinTable
from everfit.measures.bins import Bins, Categories, bins_of, categories_of
from everfit.measures.exact_sum import as_float, pack, units, unpack
from everfit.measures.layout import SketchLayout
from everfit.measures.sketch import Sketch
from everfit.measures.weighting import Floats

REFERENCE = np.random.default_rng(0).lognormal(size=5_000)
LAYOUT = SketchLayout(
    {
        "price": bins_of(REFERENCE),
        "zeros": bins_of(np.where(REFERENCE > 1, REFERENCE, 0.0), fine=20),
        "city": Categories(values=("a", "b"), tail=("c",)),
    }
)

any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(0, 20))
    return {
        "price": draw(arrays.arrays(np.float64, count, elements=any_float)),
        "zeros": draw(arrays.arrays(np.float64, count, elements=st.sampled_from([0.0, -1.0, 1.5, math.nan, 9.0]))),
        "city": draw(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=count, max_size=count)),
    }


def sketch(*parts: dict[str, Any]) -> Sketch:
    made = Sketch(LAYOUT)
    for part in parts:
        made.add(part)
    return made


@given(rows(), rows(), rows())
def test_merging_is_associative_and_commutative_to_the_last_bit(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    parts = (first, second, third)
    one, two, three = map(sketch, parts)
    left = one.merge(two).merge(three)
    assert left == one.merge(two.merge(three)) == three.merge(one).merge(two) == sketch(*parts)
    assert left.merge(Sketch(LAYOUT)) == left
    assert Sketch.from_bytes(left.to_bytes(), LAYOUT) == left


@given(rows(), rows())
def test_a_merged_sketch_is_the_direct_computation(first: dict[str, Any], second: dict[str, Any]) -> None:
    parts = (first, second)
    merged = sketch(parts[0]).merge(sketch(parts[1]))
    city = [value for part in parts for value in part["city"]]
    assert merged.rows == len(city)
    column = merged.column("city")
    assert [*column.counts.tolist(), column.missing] == [city.count(value) for value in ("a", "b", "c", "d", None)]
    for name in ("price", "zeros"):
        values = np.concatenate([part[name] for part in parts])
        form, column = LAYOUT.columns[name], merged.column(name)
        assert isinstance(form, Bins)
        present = values[~np.isnan(values)]
        expected = np.histogram(np.searchsorted(form.edges, present), bins=np.arange(form.cells + 1))[0]
        assert column.counts.tolist() == expected.tolist()
        assert column.missing == np.isnan(values).sum()
        assert column.coarse().sum() == column.present == len(present)
        finite = values[np.isfinite(values)]
        assert column.finite == len(finite)
        if len(finite):
            assert (column.low, column.high) == (finite.min(), finite.max())
        if len(finite) and np.abs(finite).max() < 1e100:
            reach = np.abs(finite).max() + form.median
            assert column.mean == pytest.approx(finite.mean(), rel=1e-12, abs=1e-12 * reach)


def test_many_rows_are_counted_like_few() -> None:
    rng = np.random.default_rng(1)
    price = rng.lognormal(size=200_000)
    price[::7], price[1::1001], price[2::1001] = np.nan, np.inf, -np.inf
    columns = {"price": price, "zeros": np.maximum(price, 1.0), "city": rng.choice(["a", "b", "c", "z"], 200_000)}
    few, many = Sketch(LAYOUT), Sketch(LAYOUT)
    cities: dict[str | int | None, int] = {key: int((columns["city"] == key).sum()) for key in "abcz"}
    many.add({**columns, "city": cities})
    for start in range(0, 200_000, 256):
        few.add({name: values[start : start + 256] for name, values in columns.items()})
    for name in LAYOUT.columns:
        one, other = few.column(name), many.column(name)
        assert one.counts.tolist() == other.counts.tolist()
        assert (one.missing, one.finite) == (other.missing, other.finite)
        assert one.mean == pytest.approx(other.mean, rel=1e-12, nan_ok=True)


def test_columns_are_placed_together_as_alone() -> None:
    rng = np.random.default_rng(3)
    columns = np.stack([rng.normal(size=300), rng.lognormal(sigma=6.0, size=300), np.zeros(300), rng.random(300)])
    columns[:, ::9] = np.nan
    edges = [np.unique(np.quantile(rng.permutation(one[one == one]), np.arange(1, 50) / 50)) for one in columns]
    together = BinTable(edges, [10, 100, 200, 300], cells=64).places(columns)
    for start, inner, one, found in zip([10, 100, 200, 300], edges, columns, together, strict=True):
        assert (found - start).tolist() == np.append(inner, np.inf).searchsorted(one).tolist()


finite_floats = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float64, st.integers(1, 30), elements=finite_floats | st.sampled_from([0.0, 1.0, 5e-324])))
def test_counting_by_table_is_the_search(edges: Floats) -> None:
    edges = np.unique(np.clip(edges, -1e308, 1e308))
    values = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), [np.nan, np.inf, 0.5]])
    expected = np.bincount(np.append(edges, np.inf).searchsorted(values), minlength=len(edges) + 2)
    assert BinTable([edges]).count(values).tolist() == expected.tolist()


@given(arrays.arrays(np.float64, st.integers(0, 30), elements=finite_floats))
def test_sums_are_exact(values: Floats) -> None:
    totals = units(values)
    if np.abs(values).max(initial=0.0) < 1e300:
        assert as_float(sum(totals)) == math.fsum(values)
    assert [as_float(total) for total in totals] == values.tolist()
    assert [unpack(pack(total)) for total in totals] == totals


@settings(max_examples=200)
@given(arrays.arrays(np.float64, st.integers(1, 300), elements=st.integers(-3, 30).map(float) | any_float))
def test_bins_hold_what_they_say(values: Floats) -> None:
    if not np.isfinite(values).any():
        with pytest.raises(DataError):
            bins_of(values)
        return
    bins = bins_of(values, fine=20, coarse=5)
    edges = np.array(bins.edges)
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(edges).all()
    assert bins.coarse[0] == 0
    assert (np.diff(bins.coarse) > 0).all()
    assert bins.coarse[-1] < bins.cells
    assert len(bins.centres) == bins.cells
    assert (np.diff(bins.centres) >= 0).all()
    assert math.isfinite(bins.scale)
    assert bins.scale > 0


def test_a_spike_is_a_coarse_bin_of_its_own() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(10_000) < 0.3, 0.0, rng.normal(size=10_000))
    made = Sketch(layout := SketchLayout({"x": bins_of(values)}))
    made.add({"x": values})
    assert int((values == 0).sum()) in made.column("x").coarse().tolist()
    form = layout.columns["x"]
    assert isinstance(form, Bins)
    assert 9 <= len(form.coarse) <= 13


def test_without_ties_coarse_bins_are_deciles() -> None:
    made = Sketch(SketchLayout({"x": bins_of(REFERENCE)}))
    made.add({"x": REFERENCE})
    assert made.column("x").coarse().tolist() == [500] * 10


def test_categories_are_bounded() -> None:
    form = categories_of([str(number) for number in range(50)] * 2 + ["7"], most=10, known=20)
    assert (len(form.values), len(form.tail), form.complete, form.values[0]) == (10, 20, False, "7")
    made = Sketch(SketchLayout({"c": form}))
    made.add({"c": ["never before", "7"]})
    assert made.column("c").counts[form.other] == 1, "it may have been among those that were forgotten"


def test_rows_must_fit_the_layout() -> None:
    with pytest.raises(DataError, match="every column"):
        Sketch(LAYOUT).add({"price": np.zeros(1)})
    with pytest.raises(DataError, match="equally long"):
        Sketch(LAYOUT).add({"price": np.zeros(1), "zeros": np.zeros(2), "city": ["a"]})
    with pytest.raises(DataError, match="one layout"):
        Sketch(LAYOUT).merge(Sketch(SketchLayout({})))
    with pytest.raises(DataError, match="layout"):
        Sketch.from_bytes(Sketch(SketchLayout({})).to_bytes(), LAYOUT)
