"""Comparison of the features of two releases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.evidence import ID
from everfit.core.release import FeatureChange
from everfit.releases.feature_changes import compare_features

NUMBERS = st.one_of(st.none(), st.integers(-3, 3).map(float), st.just(float("nan")))
TEXTS = st.one_of(st.none(), st.sampled_from(["north", "mill"]))


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Features of some events: numbers, texts, any of which may be missing."""
    ids = draw(st.lists(st.integers(0, 12), unique=True, max_size=8))
    columns: dict[str, Any] = {ID: pl.Series(ids, dtype=pl.Int64)}
    for name, values, dtype in (("a", NUMBERS, pl.Float64), ("b", NUMBERS, pl.Float64), ("c", TEXTS, pl.String)):
        if draw(st.booleans()):
            drawn = draw(st.lists(values, min_size=len(ids), max_size=len(ids)))
            columns[name] = pl.Series(drawn, dtype=dtype, strict=False)
    return pl.DataFrame(columns)


def compared(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, FeatureChange]:
    return {change.feature: change for change in compare_features("m", before, after)}


@given(frames(), st.randoms())
def test_features_do_not_differ_from_themselves_in_any_order_and_type_of_id(frame: pl.DataFrame, random: Any) -> None:
    order = list(range(frame.height))
    random.shuffle(order)
    assert compare_features("m", frame, frame[order].with_columns(pl.col(ID).cast(pl.String))) == ()


@given(frames(), frames())
def test_there_and_back_is_the_same_distance(one: pl.DataFrame, other: pl.DataFrame) -> None:
    there, back = compared(one, other), compared(other, one)
    assert there.keys() == back.keys()
    opposite = {"added": "removed", "removed": "added", "type": "type", "values": "values"}
    for name, change in there.items():
        assert back[name].change == opposite[change.change]
        assert back[name].changed_share == change.changed_share
        assert back[name].largest_difference == change.largest_difference


@given(frames(), frames())
def test_the_share_is_that_of_events_that_both_have(one: pl.DataFrame, other: pl.DataFrame) -> None:
    found = compared(one, other)
    before, after = ({row[ID]: row for row in frame.to_dicts()} for frame in (one, other))
    shared = before.keys() & after.keys()

    def value(row: dict[str, Any], name: str) -> Any:
        return None if row[name] != row[name] else row[name]

    for name in {"a", "b", "c"} & set(one.columns) & set(other.columns):
        pairs = [(value(before[key], name), value(after[key], name)) for key in shared]
        different = [pair for pair in pairs if pair[0] != pair[1]]
        numbers = [abs(x - y) for x, y in different if isinstance(x, float) and isinstance(y, float)]
        if not different:
            assert name not in found
        else:
            assert found[name].changed_share == pytest.approx(len(different) / len(shared))
            assert found[name].largest_difference == (max(numbers) if numbers else None)


def test_sentences_say_what_changed_and_by_how_much() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    before = pl.DataFrame(
        {ID: [1, 2, 3, 4], "n": [1.0, 2.0, None, 4.0], "t": ["x", "y", "y", "y"], "old": [1, 2, 3, 4]}
    )
    after = pl.DataFrame({ID: [4, 3, 2, 1], "n": [4.5, 3.0, None, 1.0], "t": ["y", "y", "y", "z"], "new": [4, 3, 2, 1]})
    found = compared(before.with_columns(k=pl.lit(1)), after.with_columns(k=pl.lit(1.0), at=pl.lit(at)))
    assert found["n"].sentence == (
        "n differs in 3 of 4 rows (75 %), by 0.5 at most, and is missing in 1 where it was not, "
        "and is there in 1 where it was missing."
    )
    assert found["t"].sentence == "t differs in 1 of 4 rows (25 %), such as z instead of x."
    assert found["new"].sentence == "new is new, with the values that old had."
    assert found["old"].sentence == "old is gone."
    assert found["k"].sentence == "k is Float64 instead of Int32."
    assert found["k"].changed_share == 0.0
    assert found["at"].sentence == "at is new."


def test_without_an_event_in_common_only_names_and_types_are_compared() -> None:
    before, after = pl.DataFrame({ID: [1], "a": [1.0], "b": [1]}), pl.DataFrame({ID: [2], "a": [2.0], "b": ["x"]})
    assert [(change.feature, change.changed_share) for change in compare_features("m", before, after)] == [("b", None)]
