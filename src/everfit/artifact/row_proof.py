"""How each on-demand transformation is answered: compiled to Python only where that proved equal to Polars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from everfit.artifact import expressions
from everfit.artifact.infer import request_frame
from everfit.artifact.manifest import RowPath
from everfit.artifact.row_pipeline import compile_computation
from everfit.artifact.rowwise import Untranslatable
from everfit.artifact.schema import Computation, InputSchema

if TYPE_CHECKING:
    import polars as pl

_ROWS = 1_000


def prove_computations(schema: InputSchema, rows: pl.DataFrame) -> dict[str, RowPath]:
    """Decide how each transformation is answered.

    Args:
        schema: What the model takes.
        rows: Held-back rows with the request's fields; rows with gaps are made of the first ones.

    Returns:
        ``python``, ``polars`` or ``code`` by the transformation's name.
    """
    given = _with_gaps(request_frame(schema.request, rows.head(_ROWS)))
    return {part.name: _prove(part, schema, given) for part in schema.computations}


def _prove(part: Computation, schema: InputSchema, given: pl.DataFrame) -> RowPath:
    import polars as pl

    if part.code:
        return "code"
    try:
        compiled = compile_computation(part, schema)
        expected = given.select(
            expressions.to_polars(text).alias(name) for name, text in zip(compiled, part.expressions, strict=True)
        )
        requests = given.to_dicts()
        for name, compute in compiled.items():
            answers = expected[name].to_list()
            if not all(same(compute(row), answer) for row, answer in zip(requests, answers, strict=True)):
                return "polars"
    except (Untranslatable, ArithmeticError, TypeError, ValueError, pl.exceptions.PolarsError):
        return "polars"
    return "python"


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same: of one type, NaN equal to NaN, floats to 12 digits.

    Args:
        one: A Python value.
        other: Another.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0) or (one != one and other != other)  # noqa: PLR0124
    return bool(one == other)


def _with_gaps(given: pl.DataFrame) -> pl.DataFrame:
    """The rows, the first few again without each field in turn, and one row without any."""
    import polars as pl

    few = given.head(4)
    gaps = [few.with_columns(pl.lit(None).cast(dtype).alias(name)) for name, dtype in given.schema.items()]
    nothing = given.head(1).select(pl.lit(None).cast(dtype).alias(name) for name, dtype in given.schema.items())
    return pl.concat([given, *gaps, nothing])
