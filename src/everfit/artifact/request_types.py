"""Types of request fields, in the schema and as Polars columns."""

from __future__ import annotations

import polars as pl
from polars._typing import PolarsDataType

from everfit.artifact.schema import FieldType, RequestField
from everfit.definitions.column_types import require_type


def field_type(name: str, dtype: PolarsDataType, *, place: str) -> FieldType:
    """Return the type of a request field whose column has this Polars type.

    Raises:
        DefinitionError: If requests cannot carry it.
    """
    found = require_type("request field", name, dtype, place=place).request
    assert found is not None
    return found


def request_types() -> dict[FieldType, PolarsDataType]:
    """Return the Polars type of every field type, as on-demand transformations see it when serving."""
    return {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "instant": pl.Datetime("us", "UTC"),
        "date": pl.Date(),
    }


def request_frame(request: tuple[RequestField, ...], rows: pl.DataFrame) -> pl.DataFrame:
    """Select the request's fields of some rows, with the types that they have when serving."""
    types = request_types()
    return rows.select(pl.col(field.name).cast(types[field.type]) for field in request)
