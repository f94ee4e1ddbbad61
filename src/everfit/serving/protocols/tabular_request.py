"""Conversion of typed columns to those of a request without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any, Literal, NamedTuple

from everfit.artifact.schema import FieldType, RequestField
from everfit.core.errors import InvalidRequestError

Kind = Literal["text", "integer", "number", "boolean", "instant", "date", "null"]


class Values(NamedTuple):
    """A column of plain Python values, from any format."""

    kind: Kind
    """Kind of its values; NaN is missing in ``number``, and ``null`` holds missing values only."""
    values: Sequence[Any]
    """``None`` where there is none."""
    type_name: str
    """Name of the type in its format."""


KINDS: Mapping[FieldType, tuple[Kind, ...]] = {
    "string": ("text", "null"),
    "integer": ("integer", "number", "null"),
    "number": ("number", "integer", "null"),
    "boolean": ("boolean", "integer", "number", "null"),
    "instant": ("instant", "text", "null"),
    "date": ("date", "text", "null"),
}
"""The kinds of column that a field accepts."""
_WORDS: Mapping[FieldType, str] = {
    "string": "text",
    "integer": "integers of 64 bits",
    "number": "finite numbers",
    "boolean": "true and false, or 1 and 0",
    "instant": "instants with a time zone",
    "date": "dates",
}


def fit_columns(fields: Sequence[RequestField], columns: Mapping[str, Values]) -> dict[str, Sequence[Any]]:
    """Return the values of columns of equal length by the names of their fields.

    Raises :class:`InvalidRequestError` if a column is absent, unknown or empty, or its values cannot be the field's
    without loss.
    """
    known = {field.name: field for field in fields}
    for name in known:
        if name not in columns:
            rule = "every request field must be given"
            raise InvalidRequestError(rule, value=sorted(columns)[:20], place=f"inputs.{name}")
    for name, column in columns.items():
        if name not in known:
            rule = f"must not be given: the request fields are {', '.join(known)}"
            raise InvalidRequestError(rule, place=f"inputs.{name[:100]}")
        if not column.values:
            raise InvalidRequestError("must have at least one row", place="inputs")
    return {name: _fit(known[name], column) for name, column in columns.items()}


def _fit(field: RequestField, column: Values) -> Sequence[Any]:
    kind, values, type_name = column
    if kind not in KINDS[field.type]:
        raise InvalidRequestError(f"must hold {_WORDS[field.type]}", value=type_name, place=f"inputs.{field.name}")
    # NaN makes the sum NaN; so may infinities, for which the pass below is harmless.
    if kind == "number" and isnan(sum(filter(None, values))):
        values = [None if value is None or isnan(value) else value for value in values]
    change = _CHANGES.get((kind, field.type))
    if change is None:
        return values
    changed = [None if value is None else change(value) for value in values]
    for number, (before, after) in enumerate(zip(values, changed, strict=True)):
        if before is not None and after is None:
            rule = f"must hold {_WORDS[field.type]}, and lose nothing by it"
            raise InvalidRequestError(rule, value=before, place=f"inputs[{number}].{field.name}")
    return changed


def _as_boolean(value: float) -> bool | None:
    return bool(value) if value in (0, 1) else None


_CHANGES: Mapping[tuple[Kind, FieldType], Callable[[Any], Any]] = {
    ("number", "integer"): lambda value: int(value) if value.is_integer() else None,
    ("integer", "number"): lambda value: float(value) if float(value) == value else None,
    ("integer", "boolean"): _as_boolean,
    ("number", "boolean"): _as_boolean,
}
"""Conversions of a value; ``None`` if it would lose something."""
