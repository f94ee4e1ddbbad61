"""The type that two columns have in common keeps every value of both."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.store.common_type import common_type, is_narrowed

INTEGERS = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64())
TYPES = (
    *INTEGERS, pl.Int128(), pl.Float32(), pl.Float64(), pl.Decimal(10, 2), pl.Boolean(), pl.String(), pl.Categorical(),
    pl.Enum(["a"]), pl.Date(), pl.Time(), pl.Duration("ms"), pl.Duration("ns"), pl.Datetime("ms"), pl.Datetime("ns"),
    pl.Datetime("us", "UTC"), pl.Datetime("ns", "Europe/Paris"), pl.Null(), pl.Binary(), pl.List(pl.Int64),
    pl.Struct({"a": pl.Int64}),
)  # fmt: skip


@given(one=st.sampled_from(TYPES), other=st.sampled_from(TYPES), third=st.sampled_from(TYPES))
def test_the_order_of_files_does_not_matter(one: pl.DataType, other: pl.DataType, third: pl.DataType) -> None:
    common = common_type(one, other)
    assert common == common_type(other, one)
    assert common_type(one, one) == one
    if common is not None:
        assert common_type(common, one) == common == common_type(common, other)
    left = None if common is None else common_type(common, third)
    right_part = common_type(other, third)
    right = None if right_part is None else common_type(one, right_part)
    if left is not None and right is not None:
        assert left == right


@given(data=st.data(), have=st.sampled_from(INTEGERS), other=st.sampled_from(TYPES))
def test_integers_keep_their_value(data: st.DataObject, have: pl.DataType, other: pl.DataType) -> None:
    common = common_type(have, other)
    if common is None or is_narrowed(have, common):
        return
    low, high = (int(pl.select(bound).item()) for bound in (have.min(), have.max()))  # type: ignore[attr-defined]
    value = data.draw(st.integers(low, high))
    assert pl.Series([value], dtype=have).cast(common).item() == value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.String(), pl.Int64()),
        (pl.Date(), pl.Datetime("us", "UTC")),
        (pl.Datetime("us"), pl.Datetime("us", "UTC")),
        (pl.Boolean(), pl.Int64()),
        (pl.List(pl.Int64), pl.List(pl.Int32)),
    ],
)
def test_different_meanings_have_nothing_in_common(one: pl.DataType, other: pl.DataType) -> None:
    assert common_type(one, other) is None
