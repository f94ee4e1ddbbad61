"""pandera schemas of columns: inferred from a frame, stored as YAML, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import polars.selectors as cs
import yaml
from pandera.errors import SchemaDefinitionError, SchemaErrorReason, SchemaErrors

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import SourceError
from everfit.core.evidence import ID
from everfit.gates.verdict import percent
from everfit.measures.confidence import wilson_interval

MOST_CATEGORIES = 100
"""Columns of names with more values than this are identifiers rather than categories; their values are not listed."""


def infer_schema(reference: pl.DataFrame) -> Any:
    """Infer the pandera schema that a frame fulfils.

    Types of all columns but the frame's own (id, times, label); whether nulls occur; the list of values where they are
    names and few; for numbers their range, widened at each end by its length: wide enough for another season, too
    narrow for another unit.
    """
    columns = {
        column.name: pa.Column(column.dtype, checks=_checks(column), nullable=column.null_count() > 0)
        for column in _plain(reference).get_columns()
    }
    return pa.DataFrameSchema(columns, strict=False)


def save_schema(schema: Any, path: Path | str) -> None:
    """Write a schema as YAML, to be read, corrected and kept beside the project."""
    Path(path).write_text(schema.to_yaml(), encoding="utf-8")


def load_schema(path: Path | str) -> Any:
    """Read what :func:`save_schema` wrote. Raises :class:`SourceError` if there is no such file, or no schema in it."""
    remedy = "Write one with everfit.gates.data_schema.save_schema."
    try:
        schema = pa.DataFrameSchema.from_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError("the schema file must exist", value=str(path), remedy=remedy) from error
    except (yaml.YAMLError, SchemaDefinitionError, AttributeError, KeyError, TypeError, ValueError) as error:
        rule = f"a schema file must hold a pandera schema ({' '.join(str(error).split())})"
        raise SourceError(rule, value=str(path), remedy=remedy) from error
    if not schema.columns:
        raise SourceError("a schema file must list at least one column", value=str(path), remedy=remedy)
    return schema


def check_schema(schema: Any, frame: pl.DataFrame, *, max_share: float = 0.0, max_new: float = 0.0) -> list[str]:
    """Describe how a frame breaks a schema, one clause for each rule; the shares are those of `everfit.DataSchema`."""
    if frame.is_empty():
        return ["there are 0 rows to check"]
    try:
        schema.validate(_plain(frame), lazy=True)
    except SchemaErrors as errors:
        clauses = [_clause(error, len(frame), max_share, max_new) for error in errors.schema_errors]
        # A column of the wrong type also fails its checks, which would only repeat it.
        mistyped = {name for name, rule, _ in clauses if rule == "dtype"}
        return [text for name, rule, text in clauses if text and (rule == "dtype" or name not in mistyped)]
    return []


def _clause(error: Any, rows: int, max_share: float, max_new: float) -> tuple[str, str, str]:
    """Return the column, the kind of rule and the clause, which is empty if the share is tolerated."""
    name = str(error.schema.name)
    if error.reason_code is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        return str(error.failure_cases), "column", f"{error.failure_cases} is missing"
    if error.reason_code is SchemaErrorReason.WRONG_DATATYPE:
        return name, "dtype", f"{name} is {error.failure_cases} instead of {error.schema.dtype}"
    if error.reason_code is SchemaErrorReason.CHECK_ERROR:
        return name, "check", f"{name} cannot be held against {error.check}"
    empty = error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS
    rule = "not_nullable" if empty else str(error.check.name)
    hits, allowed = len(error.failure_cases), max_new if rule in {"not_nullable", "isin"} else max_share
    if hits == 0 or (allowed > 0 and wilson_interval(hits, rows, level=0.999)[0] <= allowed):
        return name, rule, ""
    if empty:
        words = "is missing, though it never was,"
    elif rule == "isin":
        words = "has a name that is not listed"
    else:
        words = f"breaks {error.check.error or rule}"
    return name, rule, f"{name} {words} in {hits} of {rows} rows ({percent(hits / rows)})"


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Select the columns of a schema, in types that YAML can name: names as text, missing always null."""
    names = cs.categorical() | cs.enum()
    unlisted = cs.by_name(ID, TIME, LABEL, KNOWN_AT, require_all=False) | cs.nested() | cs.by_dtype(pl.Null)
    plain = frame.select(cs.all() - unlisted)
    return plain.with_columns(names.cast(pl.String), (cs.float() | cs.decimal()).cast(pl.Float64).fill_nan(None))


def _checks(column: pl.Series) -> list[Any]:
    if column.dtype == pl.String:
        names = sorted(column.drop_nulls().unique().to_list())
        return [pa.Check.isin(names)] if 0 < len(names) <= MOST_CATEGORIES else []
    if not column.dtype.is_numeric():
        return []
    finite = column.cast(pl.Float64).drop_nulls()
    finite = finite.filter(finite.is_finite())
    if finite.is_empty():
        return []
    low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]
    # A column of one value has no length; its size is the next best unit.
    reach = (high - low) or max(abs(low), 1.0)
    return [pa.Check.in_range(low - reach, high + reach)]
