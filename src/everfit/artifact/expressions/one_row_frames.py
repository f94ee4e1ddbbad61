"""On-demand transformations that are computed on a frame of one row, by Polars or by their own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from everfit.artifact.expressions.recorder import to_polars
from everfit.artifact.expressions.row_pipeline import Compute
from everfit.artifact.request_types import REQUEST_TYPES
from everfit.artifact.schema import Computation, InputSchema
from everfit.store.plain_values import plain_values


def through_polars(part: Computation, schema: InputSchema) -> Compute:
    """Let Polars evaluate a transformation's expressions on a request."""
    texts = zip(part.outputs, part.expressions, strict=True)
    selected = [to_polars(text).alias(output) for output, text in texts]
    return through_code(part, schema, lambda row: row.select(selected))


def through_code(part: Computation, schema: InputSchema, function: Callable[[Any], Any]) -> Compute:
    """Let a transformation's own function compute a request."""

    def compute(request: Mapping[str, Any]) -> Mapping[str, Any]:
        computed = function(_one_row(schema, request))
        row = computed.with_columns(plain_values(computed.schema)).row(0, named=True)
        return {f"{part.name}.{output}": row[output] for output in part.outputs}

    return compute


def _one_row(schema: InputSchema, request: Mapping[str, Any]) -> Any:
    return pl.DataFrame(
        {field.name: [request.get(field.name)] for field in schema.request},
        schema={field.name: REQUEST_TYPES[field.type] for field in schema.request},
    )
