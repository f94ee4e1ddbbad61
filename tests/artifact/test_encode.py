from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.artifact.encode import encode_frame, encode_row
from everfit.artifact.schema import Column, InputSchema
from everfit.core.errors import InvalidRequestError

SCHEMA = InputSchema(
    model="m",
    task="regression",
    request=(),
    event_time="",
    lookups=(),
    computations=(),
    columns=(
        Column(name="number", kind="number"),
        Column(name="count", kind="number"),
        Column(name="flag", kind="boolean"),
        Column(name="shop", kind="category", categories=("a", "b", "ß")),
        Column(name="never", kind="category"),
    ),
)
TYPES = {"number": pl.Float64, "count": pl.Int64, "flag": pl.Boolean, "shop": pl.String, "never": pl.String}
_texts = st.one_of(st.none(), st.sampled_from(["a", "b", "ß", "unseen", ""]), st.text(max_size=3))
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.one_of(st.none(), st.floats()),
            "count": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "flag": st.one_of(st.none(), st.booleans()),
            "shop": _texts,
            "never": _texts,
        }
    ),
    max_size=10,
)


@given(_rows)
def test_rows_and_frames_give_the_same_numbers(rows: list[dict[str, Any]]) -> None:
    matrix = encode_frame(SCHEMA, pl.DataFrame(rows, schema=TYPES))
    assert matrix.dtype == np.float64
    assert matrix.flags.c_contiguous
    encode = encode_row(SCHEMA)
    single = np.array([encode(row) for row in rows], dtype=np.float64).reshape(len(rows), len(SCHEMA.columns))
    np.testing.assert_array_equal(matrix, single)
    np.testing.assert_array_equal(np.signbit(matrix[:, 0]), np.signbit(single[:, 0]))


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["unseen", "b", "a"])])
def test_categoricals_are_read_by_their_text(dtype: pl.DataType) -> None:
    frame = pl.DataFrame({name: pl.Series(name, [None] * 3, dtype=kind) for name, kind in TYPES.items()})
    frame = frame.with_columns(shop=pl.Series(["b", "unseen", None]).cast(dtype))
    np.testing.assert_array_equal(encode_frame(SCHEMA, frame)[:, 3], [1.0, math.nan, math.nan])


@pytest.mark.parametrize(("column", "value"), [("number", "3"), ("flag", "true"), ("shop", ["a"])])
def test_a_row_of_the_wrong_type_is_refused_by_name(column: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=column):
        encode_row(SCHEMA)({column: value})


@pytest.mark.parametrize(("column", "values"), [("number", ["3"]), ("shop", [1]), ("flag", ["true"])])
def test_a_frame_of_the_wrong_type_is_refused_by_name(column: str, values: list[object]) -> None:
    frame = pl.DataFrame({name: pl.Series(name, [None], dtype=kind) for name, kind in TYPES.items()})
    with pytest.raises(InvalidRequestError, match=column):
        encode_frame(SCHEMA, frame.with_columns(pl.Series(column, values)))


def test_a_frame_without_a_column_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="flag"):
        encode_frame(SCHEMA, pl.DataFrame({"number": [1.0], "count": [1]}))
