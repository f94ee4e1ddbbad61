"""Inference of a model's input schema from its training frame."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl

from everfit.artifact.expressions.recorder import literal_lists, record, to_polars
from everfit.artifact.request_types import field_type, request_frame
from everfit.artifact.schema import Column, ColumnKind, Computation, InputSchema, RequestField, ViewLookup
from everfit.core.class_names import ClassValue
from everfit.core.columns import LABEL
from everfit.core.errors import DefinitionError, LabelError
from everfit.core.evidence import TrainingFrame
from everfit.core.user_code import run_users
from everfit.definitions.column_types import require_type
from everfit.definitions.model import Model
from everfit.definitions.on_demand import OnDemand
from everfit.store.plain_values import plain_values

_PROOF_ROWS = 2_000
"""Rows on which on-demand functions and their expressions are compared."""
_LAST_DIGITS = 1e-12
"""Relative tolerance of numbers that count as equal."""
_LONE_ROWS = 8
"""Rows that are also computed alone, as they are when serving."""


def infer_schema(model: Model, frame: TrainingFrame, rows: pl.DataFrame) -> InputSchema:
    """Infer the schema of a model's inputs, with categories and classes sorted.

    ``frame`` gives columns and types; ``rows``, those of training, are the only source of categories, classes and
    examples. Raises :class:`~everfit.core.errors.LabelError` if a binary label has another number of values than two,
    :class:`~everfit.core.errors.DefinitionError` if a request field or a feature is of a type that models or requests
    cannot have, or if an on-demand transformation does not compute every row from that row alone.
    """
    place, event_time = f"model {model.name}", model.events.timestamp
    kinds = {name: field_type(name, frame.data.schema[name], place=place) for name in frame.request}
    request = tuple(RequestField(name=name, type=kind, example=_example(rows[name])) for name, kind in kinds.items())
    return InputSchema(
        model=model.name,
        task=model.task,
        request=request,
        event_time=event_time if event_time in frame.request else "",
        lookups=tuple(
            ViewLookup(
                view=view.name,
                keys=view.keys,
                features=_within(view.name, frame),
                ttl_us=round(view.time_to_live.total_seconds() * 1e6),
                definition=view.definition,
            )
            for view in model.views
        ),
        computations=tuple(_computation(part, frame, request, rows) for part in model.on_demand),
        columns=_columns(model, frame, rows),
        classes=_classes(model, frame.data[LABEL] if model.task == "binary" else rows[LABEL]),
        frame=model.frame,
    )


def _within(part: str, frame: TrainingFrame) -> tuple[str, ...]:
    """Return the features of a view or transformation, by their names within it."""
    return tuple(name.removeprefix(f"{part}.") for name in frame.features if name.startswith(f"{part}."))


def _computation(
    part: OnDemand, frame: TrainingFrame, request: tuple[RequestField, ...], rows: pl.DataFrame
) -> Computation:
    outputs = _within(part.name, frame)
    sample = rows.head(_PROOF_ROWS)
    given = request_frame(request, sample)
    expected = sample.select(**{output: f"{part.name}.{output}" for output in outputs})

    def compute(request: pl.DataFrame) -> pl.DataFrame:
        place = f"on-demand {part.name}"
        made: pl.DataFrame = run_users(part.function, request, error=DefinitionError, what="its function", place=place)
        return _outputs(made, outputs)

    _require_equal(part, expected, compute(given), "give the same on a request's types")
    for place in range(min(_LONE_ROWS, given.height)):
        _require_equal(part, expected[place], compute(given[place]), "compute every row from that row alone")
    found = record(part.function, given.columns)
    if found is not None and set(outputs) <= set(found):
        texts = tuple(found[output] for output in outputs)
        computed = given.select(to_polars(text).alias(output) for output, text in zip(outputs, texts, strict=True))
        if _equal(expected, _outputs(computed, outputs)):
            lists = literal_lists(texts)
            return Computation(name=part.name, outputs=outputs, expressions=texts, lists=lists)
    return Computation(name=part.name, outputs=outputs, code=f"code/{part.name}.pkl")


def _outputs(computed: pl.DataFrame, outputs: tuple[str, ...]) -> pl.DataFrame:
    return computed.select(outputs).with_columns(plain_values(computed.select(outputs).schema))


def _require_equal(part: OnDemand, expected: pl.DataFrame, got: pl.DataFrame, must: str) -> None:
    if not _equal(expected, got):
        raise DefinitionError(
            f"an on-demand transformation must {must}",
            value=got.head(3).to_dicts(),
            remedy=f"History gave {expected.head(3).to_dicts()}; requests carry Int64, Float64, String, Boolean, Date "
            'and Datetime("us", "UTC"), one row at a time.',
            place=f"on-demand {part.name}",
        )


def _equal(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Return true if both frames encode to the same numbers, up to their last digits, categories and gaps."""
    if one.columns != other.columns or one.height != other.height:
        return False
    return all(_same(_encoded(one[name]), _encoded(other[name])) for name in one.columns)


def _encoded(values: pl.Series) -> pl.Series:
    return values.cast(pl.String if _is_text(values.dtype) else pl.Float64)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _same(left: pl.Series, right: pl.Series) -> bool:
    if left.dtype != right.dtype:
        return bool(left.is_null().all() and right.is_null().all())
    if left.dtype != pl.Float64:
        return left.equals(right, null_equal=True)
    # Polars divides one row and many rows by different instructions, whose last digit may differ.
    same = np.isclose(left.to_numpy(), right.to_numpy(), rtol=_LAST_DIGITS, atol=0.0, equal_nan=True)
    return bool(same.all()) and left.is_null().equals(right.is_null())


def _columns(model: Model, frame: TrainingFrame, rows: pl.DataFrame) -> tuple[Column, ...]:
    place = f"model {model.name}"
    if model.frame == "matrix":
        return tuple(_column(name, rows[name], place=place) for name in frame.features)
    unknown = sorted(set(model.categories) - set(frame.features))
    if unknown:
        remedy = f"The features are: {', '.join(frame.features)}."
        raise DefinitionError("categories must name features", value=unknown[0], remedy=remedy, place=place)
    return tuple(_frame_column(name, rows[name], name in model.categories, place=place) for name in frame.features)


def _frame_column(name: str, values: pl.Series, is_declared: bool, *, place: str) -> Column:
    """A column of a data frame, by the type that it has in history and not by the values of some rows."""
    dtype = values.dtype
    if is_declared:
        if not (_is_text(dtype) or dtype.is_integer()):
            raise DefinitionError(
                "a declared category must be text or an integer", value=f"{name}: {dtype}", place=place
            )
        return _category(name, values.cast(pl.String if _is_text(dtype) else pl.Int64))
    kinds: dict[ColumnKind, bool] = {
        "text": dtype == pl.String,
        "integer": dtype.is_integer(),
        "instant": isinstance(dtype, pl.Datetime),
        "date": dtype == pl.Date,
    }
    kind = next((kind for kind, fits in kinds.items() if fits), None)
    return Column(name=name, kind=kind) if kind else _column(name, values, place=place)


def _column(name: str, values: pl.Series, *, place: str) -> Column:
    kind = require_type("feature", name, values.dtype, place=place).feature
    if kind == "category":
        return _category(name, values.cast(pl.String))
    return Column(name=name, kind="boolean" if kind == "boolean" else "number")


def _category(name: str, values: pl.Series) -> Column:
    return Column(name=name, kind="category", categories=tuple(values.drop_nulls().unique().sort().to_list()))


def _classes(model: Model, labels: pl.Series) -> tuple[ClassValue, ...]:
    """The label's values in the order of the probabilities; of a binary one, the positive class last."""
    if model.task == "regression":
        return ()
    if model.task == "multiclass":
        plain = labels.dtype in (pl.Boolean, pl.String)
        return tuple(labels.drop_nulls().cast(labels.dtype if plain else pl.Int64).unique().sort().to_list())
    positive = model.label.positive
    truths: tuple[ClassValue, ClassValue] = (False, True) if labels.dtype == pl.Boolean else (0, 1)
    if positive is None:
        return truths
    values = labels.drop_nulls().unique().to_list()
    if set(values) | {positive} <= {0, 1}:
        return truths if positive == 1 else truths[::-1]
    others = [value for value in values if value != positive]
    if len(others) != 1:
        place = f"model {model.name}, label"
        raise LabelError("a binary label must take its positive value and one other", value=sorted(values), place=place)
    return (others[0], next(value for value in (*values, positive) if value == positive))


def _example(values: pl.Series) -> str | int | float | bool | None:
    value: Any = next(iter(values.drop_nulls()), None)
    if isinstance(value, date):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, str | int | float | bool | None) else float(value)
