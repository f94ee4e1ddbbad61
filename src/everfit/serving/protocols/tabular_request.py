"""Conversion of typed columns to a request without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any, Literal, NamedTuple

from everfit.artifact.schema import FieldType, RequestField
from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.json import Request, RequestDecoder, require_few

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


def to_request(
    decoder: RequestDecoder,
    columns: Mapping[str, Values],
    *,
    id: str | None = None,  # noqa: A002 - the name in every protocol
    response_format: Any = None,
) -> Request:
    """Return a request with the rows of columns of equal length, by name; the rows' ids are derived from ``id``.

    Raises :class:`InvalidRequestError` if a column is absent or unknown, or its values cannot be the field's without
    loss, and :class:`RequestTooLargeError` if there are more rows than are accepted.
    """
    fields = {field.name: field for field in decoder.fields}
    for name in fields:
        if name not in columns:
            rule = "every request field must be given"
            raise InvalidRequestError(rule, value=sorted(columns)[:20], place=f"inputs.{name}")
    for name, column in columns.items():
        if name not in fields:
            rule = f"must not be given: the request fields are {', '.join(fields)}"
            raise InvalidRequestError(rule, place=f"inputs.{name[:100]}")
        require_few(len(column.values), decoder.max_rows)
        if not column.values:
            raise InvalidRequestError("must have at least one row", place="inputs")
    fitted = {name: _fit(fields[name], column) for name, column in columns.items()}
    return decoder.convert_columns(fitted, id=id, response_format=response_format)


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
