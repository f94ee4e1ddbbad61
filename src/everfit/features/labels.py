"""Labels in the events' source, and their values in the types of classes: booleans, whole numbers and text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from everfit.core.class_names import quoted
from everfit.core.errors import LabelError
from everfit.definitions.model import Model
from everfit.store.known_values import hide_unknown, known_columns, latest_known
from everfit.store.plain_values import plain_label
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import instant_literal, to_instant

_SHOWN = 3


def label_value(model: Model) -> pl.Expr:
    """The label, as the source has it."""
    value = model.label.value
    return pl.col(value) if isinstance(value, str) else value


def used_columns(model: Model) -> list[str]:
    """The columns of the events' source that identify and select its rows and make their label."""
    events, label = model.events, model.label
    chosen_by = [] if events.where is None else events.where.meta.root_names()
    return [events.id, events.timestamp, label.known_at, *label.columns, *chosen_by]


def known_times(model: Model, columns: Sequence[str]) -> list[str]:
    """Return the time columns of which the latest says when a label and some columns are known."""
    source = model.events.source
    times = [model.label.known_at, *([source.created] if source.created else [])]
    return list(dict.fromkeys([*times, *(source.known_at[column] for column in columns if column in source.known_at)]))


def scan_labels(model: Model, reader: Reader, *, until: datetime, since: datetime | None = None) -> pl.LazyFrame:
    """Return the labels that became known in ``[since, until]``, without training's checks.

    Duplicates and contradictions are included. The columns are ``id`` as text, ``value`` in the label's own type, but a
    class that is stored as a category or a float as text, and ``known_at``; none is null. A label is known once its row
    was created and all columns that it is computed from are known. Raises :class:`SourceError` if the source cannot be
    read or lacks a column, :class:`TimestampError` if the known time has no time zone.
    """
    events, moment = model.events, instant_literal(until)
    rows, known = _known_labels(model, reader, model.label.columns, since=since)
    if since is not None:
        rows = rows.filter(known >= instant_literal(since))
    rows = hide_unknown(rows, events.source, at=moment)
    rows = rows if events.where is None else rows.filter(events.where)
    value = label_value(model)
    value = plain_label(value, rows.select(value.alias("value")).collect_schema()["value"])
    if model.task != "regression":
        value = class_text(value, rows.select(value.alias("value")).collect_schema()["value"])
    found = rows.select(pl.col(events.id).cast(pl.String).alias("id"), value.alias("value"), known.alias("known_at"))
    return found.filter(pl.col("known_at") <= moment).drop_nulls()


def scan_label_times(model: Model, reader: Reader) -> pl.LazyFrame:
    """Return ``event_time`` and ``known_at`` of every row with a label, those known in the future included.

    A label is known once its row was created, and all columns of the label and of ``where`` are known. Raises the
    errors of :func:`scan_labels`.
    """
    events = model.events
    chosen_by = [] if events.where is None else events.where.meta.root_names()
    rows, known = _known_labels(model, reader, [*model.label.columns, *chosen_by])
    rows = rows if events.where is None else rows.filter(events.where)
    schema, place = rows.collect_schema(), f"model {model.name}, events"
    times = to_instant(events.timestamp, schema[events.timestamp], place=place).alias("event_time")
    return rows.filter(label_value(model).is_not_null()).select(times, known.alias("known_at")).drop_nulls()


def _known_labels(
    model: Model, reader: Reader, columns: Sequence[str], *, since: datetime | None = None
) -> tuple[pl.LazyFrame, pl.Expr]:
    """Return the events' rows, and the time by which they are there and their labels and some columns are known.

    Given ``since``, rows of which that time is earlier may be left out.
    """
    source, known_at, place = model.events.source, model.label.known_at, f"model {model.name}, label"
    wanted = list(dict.fromkeys([*used_columns(model), *known_columns(source)]))
    times = known_times(model, columns)
    # The latest of the times counts, so it is any of them that may be late. A function has one range to be given.
    if since is None or (source.kind == "function" and len(times) > 1):
        rows = reader.scan(source, columns=wanted, place=place)
    else:
        within = TimeRange(since, None)
        parts = [reader.scan(source, columns=wanted, within=within, by=by, place=place) for by in times]
        schema = parts[0].collect_schema()
        # Each row once: of those that an earlier part has, a later one has none.
        taken = [within.condition(by, schema[by]) for by in times]
        rest = [part.filter(~pl.any_horizontal(taken[: index + 1])) for index, part in enumerate(parts[1:])]
        rows = pl.concat([parts[0], *rest])
    schema = rows.collect_schema()
    known = to_instant(known_at, schema[known_at], place=place)
    if source.created is not None:
        created = to_instant(source.created, schema[source.created], place=place)
        known = pl.when(known.is_not_null()).then(pl.max_horizontal(known, created))
    return rows, latest_known(rows, source, known, columns)


def plain_labels(model: Model, labels: pl.Series) -> pl.Series:
    """Labels as training takes them; null where not known.

    Of a classification, categories become text, and numbers that are whole, such as 1.0, become Int64; NaN is missing.
    A regression's labels are left as they are. Raises :class:`LabelError` if the task cannot learn labels of this type,
    if a binary label has more than two values, or if its positive class is not named where it must be, or absent.
    """
    place, dtype = f"model {model.name}, label", labels.dtype
    if labels.null_count() == len(labels):
        return labels
    if model.task == "regression":
        if not dtype.is_numeric():
            raise LabelError("the label of a regression model must be a number", value=_few(labels), place=place)
        return labels
    plain = _as_classes(labels)
    if plain is None:
        wanted = "text or an integer" if model.task == "multiclass" else "a boolean, 0/1, or two texts or integers"
        rule = f"the label of a {model.task} model must be {wanted}"
        remedy = f"It has the type {dtype}. Cast it in the label's expression, or use task='regression'."
        raise LabelError(rule, value=_few(labels), remedy=remedy, place=place)
    if model.task == "binary":
        _check_binary(model, plain, place=place)
    return plain


def class_text(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Labels as :func:`plain_labels` has them, without its checks: numbers that are whole become text without a point.

    ``dtype`` is their type in the source.
    """
    if dtype.is_float() or dtype.is_decimal():
        number = values.cast(pl.Float64)
        whole = number.cast(pl.Int64, strict=False)
        return pl.when(number == number.round()).then(whole.cast(pl.String)).otherwise(number.cast(pl.String))
    return values.cast(pl.String) if isinstance(dtype, pl.Categorical | pl.Enum) else values


def _as_classes(labels: pl.Series) -> pl.Series | None:
    """Booleans, whole numbers or text; ``None`` if the values are none of these."""
    dtype = labels.dtype
    if dtype in (pl.Boolean, pl.String):
        return labels
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return labels.cast(pl.String)
    if dtype.is_integer():
        narrow = labels.cast(pl.Int64, strict=False)
        return labels if narrow.null_count() == labels.null_count() else None
    if dtype.is_float() or dtype.is_decimal():
        numbers = labels.cast(pl.Float64).fill_nan(None)
        whole = numbers.cast(pl.Int64, strict=False)
        same = (numbers == whole.cast(pl.Float64)) | numbers.is_null()
        return whole if bool(same.fill_null(value=False).all()) else None
    return None


def _check_binary(model: Model, labels: pl.Series, *, place: str) -> None:
    counted = labels.drop_nulls().value_counts(sort=True)
    values, positive = counted[labels.name].to_list(), model.label.positive
    if len(values) > 2:
        shown = ", ".join(f"{value!r} on {count:,}" for value, count in counted.rows()[2 : 2 + _SHOWN])
        raise LabelError(
            f"the label of a binary model must be one of two values, here {quoted(sorted(values[:2]))}, but it also is "
            f"{shown} of {len(labels) - labels.null_count():,} labelled rows",
            remedy="Leave those events out with where=, merge values in the label's expression, or use "
            "task='multiclass'.",
            place=place,
        )
    if positive is None and not set(values) <= {0, 1}:
        remedy = " or ".join(f"ef.Label(..., positive={value!r})" for value in sorted(values))
        raise LabelError(
            "the label of a binary model must be a boolean or 0/1, or say which value is the positive class",
            value=sorted(values),
            remedy=f"Write {remedy}; predictions are the chance of that value.",
            place=place,
        )
    if positive is not None and positive not in values and len(values) == 2:
        # Of a single value, the check of variety says more.
        remedy = f"The values are {quoted(sorted(values))}."
        raise LabelError("positive must be one of the label's two values", value=positive, remedy=remedy, place=place)


def _few(labels: pl.Series) -> list[object]:
    known = labels.drop_nulls()
    found = known.unique(maintain_order=True) if known.dtype.is_nested() else known.unique().sort()
    return found.head(_SHOWN).to_list()
