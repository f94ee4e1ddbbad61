"""Inputs of an estimator: descriptions for messages, and a fill value for text that the estimator needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from everfit.artifact.encode import encode_inputs
from everfit.artifact.model_frame import canonical_rows
from everfit.artifact.schema import InputSchema

_SHOWN_COLUMNS = 6


def describe_gaps(inputs: Any, schema: InputSchema) -> str:
    """Return a sentence about the columns with missing values, with the remedy; empty if there are none."""
    if schema.frame == "polars":
        missing = inputs.select(column.is_null() for column in inputs).to_numpy()
    else:
        missing = np.isnan(inputs) if schema.frame == "matrix" else np.asarray(inputs.isna())
    gaps = {name: int(count) for name, count in zip(schema.names, missing.sum(axis=0), strict=True) if count}
    if not gaps:
        return ""
    shown = ", ".join(f"{name} in {count}" for name, count in list(gaps.items())[:_SHOWN_COLUMNS])
    return f"Missing are {shown} of these rows: impute in the trainer, or use an estimator that takes missing values."


def describe_inputs(inputs: Any, schema: InputSchema) -> str:
    """Return a sentence about ``X``: its type, shape, first columns and dtypes, and what else it could be."""
    if schema.frame == "matrix":
        text = f"X is a float64 matrix of shape {inputs.shape}"
        return f'{text}; with @model.trainer(frame="pandas") it is a DataFrame with names.'
    dtypes = list(zip(schema.names, inputs.dtypes, strict=True))
    shown = ", ".join(f"{name} {dtype}" for name, dtype in dtypes[:_SHOWN_COLUMNS])
    more = ", …" if len(dtypes) > _SHOWN_COLUMNS else ""
    library = "pandas" if schema.frame == "pandas" else "Polars"
    sentence = f"X is a {library} DataFrame of shape {inputs.shape} with the columns {shown}{more}."
    if schema.frame == "pandas" and any(column.kind in {"integer", "boolean"} for column in schema.columns):
        sentence += (
            " Integers and booleans are float64, since a request may lack them; categories=[...] keeps integers whole."
        )
    texts = [column.name for column in schema.columns if column.kind == "text"]
    if not texts:
        return sentence
    example = f'@model.trainer(frame="{schema.frame}", categories={texts})'
    return f"{sentence} Text is given as text; with {example} it has a categorical dtype."


def with_fills(schema: InputSchema, rows: pl.DataFrame, predict: Callable[[Any], NDArray[np.float64]]) -> InputSchema:
    """Return the schema with an empty text as fill value, for columns whose missing values the estimator rejects.

    Only columns without missing values in training, ``rows``, are concerned. CatBoost, for example, rejects a missing
    category, and accepts any text that it has never seen.
    """
    sample = canonical_rows(schema, rows)
    texts = [column.name for column in schema.columns if column.kind in {"text", "category"}]
    full = [name for name in texts if sample[name].null_count() == 0]
    first = sample.head(1)
    if first.is_empty() or not full or _answers(schema, _without(first, full), predict):
        return schema
    for name in full:
        if not _answers(schema, _without(first, [name]), predict):
            filled = _filled(schema, name)
            schema = filled if _answers(filled, _without(first, [name]), predict) else schema
    return schema


def _without(row: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return row.with_columns(pl.lit(None, dtype=row.schema[name]).alias(name) for name in names)


def _filled(schema: InputSchema, name: str) -> InputSchema:
    columns = (replace(column, fill="") if column.name == name else column for column in schema.columns)
    return replace(schema, columns=tuple(columns))


def _answers(schema: InputSchema, row: pl.DataFrame, predict: Callable[[Any], NDArray[np.float64]]) -> bool:
    try:
        predict(encode_inputs(schema, row))
    except Exception:  # noqa: BLE001 - a library may raise anything at a missing value
        return False
    return True
