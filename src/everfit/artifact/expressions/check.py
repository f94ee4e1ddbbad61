"""Check of compiled on-demand transformations: compiled to Python only where that is proved equal to Polars."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import polars as pl

from everfit.artifact.expressions.compiler import ExpressionCompiler
from everfit.artifact.expressions.expression_types import POLARS_TYPES, Untranslatable
from everfit.artifact.expressions.recorder import to_polars
from everfit.artifact.expressions.row_pipeline import compile_computation
from everfit.artifact.manifest import RowPath
from everfit.artifact.request_types import REQUEST_TYPES, request_frame
from everfit.artifact.schema import Computation, InputSchema

_ROWS = 1_000
_log = logging.getLogger(__name__)


def prove_computations(schema: InputSchema, rows: pl.DataFrame) -> dict[str, RowPath]:
    """Decide how each transformation is executed, on held-back rows with the request's fields and rows with gaps.

    One that is not compiled is computed on a frame of one row, which takes hundreds of times as long: a warning is
    logged, with the reason.
    """
    given = _with_gaps(request_frame(schema.request, rows.head(_ROWS)))
    paths: dict[str, RowPath] = {}
    for part in schema.computations:
        paths[part.name], reason = _prove(part, schema, given)
        if reason:
            message = "model %s: on-demand %s is not compiled and takes about 0.5 ms a row: %s"
            _log.warning(message, schema.model, part.name, reason)
    return paths


def _prove(part: Computation, schema: InputSchema, given: pl.DataFrame) -> tuple[RowPath, str]:
    """Return the path, and the reason why it is not ``python``."""
    if part.code:
        return "code", "its function is more than a chain of expressions"
    try:
        if not same_types(part, schema):
            return "polars", "Polars gives its parts other types"
        compiled = compile_computation(part, schema)
        expected = given.select(
            to_polars(text).alias(name) for name, text in zip(compiled, part.expressions, strict=True)
        )
        requests = given.to_dicts()
        for name, compute in compiled.items():
            computed = expected[name].to_list()
            if not all(same(compute(row), wanted) for row, wanted in zip(requests, computed, strict=True)):
                return "polars", f"compiled, {name} differs from Polars"
    except Untranslatable as untranslatable:
        return "polars", f"the compiler does not know {untranslatable}"
    except (ArithmeticError, TypeError, ValueError, pl.exceptions.PolarsError) as problem:
        return "polars", f"{type(problem).__name__}: {problem}"
    return "python", ""


def same_types(part: Computation, schema: InputSchema) -> bool:
    """Return true if the compiler gives every part of every expression the type that Polars gives it.

    Values alone would not show it: an Int8 and an Int64 differ only once one of them overflows.
    """
    fields = {field.name: field.type for field in schema.request}
    empty = pl.LazyFrame(schema={name: REQUEST_TYPES[kind] for name, kind in fields.items()})
    kinds = {kind: getattr(pl, name) for name, kind in POLARS_TYPES.items()}
    kinds |= {"instant": pl.Datetime, "duration": pl.Duration, "null?": pl.Null}
    compiler = ExpressionCompiler(fields, part.lists)
    for text in part.expressions:
        compiler.settled(json.loads(text))
    given = (empty.select(to_polars(json.dumps(tree)).alias("_")).collect_schema()["_"] for tree, _ in compiler.parts)
    return all(dtype == kinds[kind] for dtype, (_, kind) in zip(given, compiler.parts, strict=True))


def same(one: Any, other: Any) -> bool:
    """Return true if two values are the same: of one type, NaN equal to NaN, floats to 12 digits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0) or (one != one and other != other)  # noqa: PLR0124
    return bool(one == other)


def _with_gaps(given: pl.DataFrame) -> pl.DataFrame:
    """The rows, the first few again without each field in turn, and one row without any."""
    gaps = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in given.schema.items()]
    return pl.concat([given, *(given.head(4).with_columns(gap) for gap in gaps), given.head(1).with_columns(gaps)])
