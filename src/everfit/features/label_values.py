"""The label's values in the types that classes have: booleans, whole numbers and text."""

from __future__ import annotations

import polars as pl

from everfit.core.class_names import quoted
from everfit.core.errors import LabelError
from everfit.definitions.model import Model

_SHOWN = 3


def plain_labels(model: Model, labels: pl.Series) -> pl.Series:
    """Labels as training takes them.

    Of a classification, categories become text, and numbers that are whole, such as 1.0, become Int64; NaN is missing.
    A regression's labels are left as they are.

    Args:
        labels: As the source has them; null where not known.

    Raises:
        LabelError: If the task cannot learn labels of this type, if a binary label has more than two values, or if its
            positive class is not named where it must be, or does not occur.
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
        raise LabelError(
            f"the label of a {model.task} model must be {wanted}",
            value=_few(labels),
            remedy=f"It has the type {dtype}. Cast it in the label's expression, or use task='regression'.",
            place=place,
        )
    if model.task == "binary":
        _check_binary(model, plain, place=place)
    return plain


def class_text(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Labels as :func:`plain_labels` has them, without its checks: numbers that are whole become text without a point.

    Args:
        values: The label.
        dtype: Its type.
    """
    if dtype.is_float() or dtype.is_decimal():
        number = values.cast(pl.Float64)
        whole = number.cast(pl.Int64, strict=False)
        return pl.when(number == number.round()).then(whole.cast(pl.String)).otherwise(number.cast(pl.String))
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return values.cast(pl.String)
    return values


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
    values, counts = counted[labels.name].to_list(), counted["count"].to_list()
    positive = model.label.positive
    if len(values) > 2:
        odd = dict(zip(values[2:], counts[2:], strict=True))
        shown = ", ".join(f"{value!r} on {count:,}" for value, count in list(odd.items())[:_SHOWN])
        raise LabelError(
            f"the label of a binary model must be one of two values, here {quoted(sorted(values[:2]))}, but it also is "
            f"{shown} of {len(labels) - labels.null_count():,} labelled rows",
            remedy="Leave those events out with where=, merge values in the label's expression, or use "
            "task='multiclass'.",
            place=place,
        )
    if positive is None:
        if not set(values) <= {0, 1}:
            remedy = " or ".join(f"ef.Label(..., positive={value!r})" for value in sorted(values))
            raise LabelError(
                "the label of a binary model must be a boolean or 0/1, or say which value is the positive class",
                value=sorted(values),
                remedy=f"Write {remedy}; predictions are the chance of that value.",
                place=place,
            )
    elif positive not in values and len(values) == 2:  # of a single value, the check of variety says more
        raise LabelError(
            "positive must be one of the label's two values",
            value=positive,
            remedy=f"The values are {quoted(sorted(values))}.",
            place=place,
        )


def _few(labels: pl.Series) -> list[object]:
    known = labels.drop_nulls()
    found = known.unique(maintain_order=True) if known.dtype.is_nested() else known.unique().sort()
    return found.head(_SHOWN).to_list()
