"""Types of request fields, in the schema and as Polars columns."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from polars._typing import PolarsDataType

from everfit.artifact.schema import FieldType, RequestField
from everfit.definitions.column_types import require_type

REQUEST_TYPES: Mapping[FieldType, PolarsDataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "instant": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
}
"""Polars types of request fields, as on-demand transformations see them when serving."""


def field_type(name: str, dtype: PolarsDataType, *, place: str) -> FieldType:
    """Return the type of a request field whose column has this Polars type; refuse what requests cannot carry."""
    found = require_type("request field", name, dtype, place=place).request
    assert found is not None
    return found


def request_frame(request: tuple[RequestField, ...], rows: pl.DataFrame) -> pl.DataFrame:
    """Select the request's fields of some rows, with the types that they have when serving."""
    return rows.select(pl.col(field.name).cast(REQUEST_TYPES[field.type]) for field in request)
