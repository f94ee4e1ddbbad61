"""On-demand transformations that are computed on a frame of one row, by Polars or by their own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from everfit.artifact.expressions.recorder import to_polars
from everfit.artifact.request_types import REQUEST_TYPES
from everfit.artifact.schema import Computation, InputSchema
from everfit.store.plain_values import plain_values


def through_polars(part: Computation, schema: InputSchema) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Let Polars evaluate a transformation's expressions on a request's fields; see :func:`through_code`."""
    texts = zip(part.outputs, part.expressions, strict=True)
    selected = [to_polars(text).alias(output) for output, text in texts]
    return through_code(part, schema, lambda row: row.select(selected))


def through_code(
    part: Computation, schema: InputSchema, function: Callable[[Any], Any]
) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Let a transformation's own function compute its outputs, in their order, from a request's fields."""
    types = {field.name: REQUEST_TYPES[field.type] for field in schema.request}

    def compute(request: Mapping[str, Any]) -> Sequence[Any]:
        row = function(pl.DataFrame({name: [request.get(name)] for name in types}, schema=types)).select(part.outputs)
        return row.with_columns(plain_values(row.schema)).row(0)  # type: ignore[no-any-return]

    return compute
