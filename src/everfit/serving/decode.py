"""From a request's bytes to typed rows, with a decoder made from the model's schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from everfit.artifact.schema import FieldType, InputSchema
from everfit.core.errors import InvalidRequestError

_TYPES: Mapping[FieldType, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "instant": Annotated[datetime, Meta(tz=True)],
    "date": date,
}
_EXPECTED: Mapping[FieldType, str] = {
    "string": "a string or null",
    "integer": "a whole number or null",
    "number": "a number or null",
    "boolean": "true, false or null",
    "instant": 'an instant with a time zone such as "2026-03-01T12:00:00Z", or null',
    "date": 'a date such as "2026-03-01", or null',
}
_PLACE = re.compile(r"^(?P<text>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_LONGEST_ID = 200
_LONGEST_VALUE = 120


class Request(Struct, frozen=True, kw_only=True):
    """Decoded rows."""

    rows: list[dict[str, Any]]
    """Field to value; instants in UTC."""
    ids: list[str] | None
    """The caller's ids, one per row, if any were given."""


class RequestDecoder:
    """Decodes the bodies of one model. May be called from several threads at once.

    A body is ``{"inputs": {…} or [{…}, …], "id"?: "…", "ids"?: ["…", …]}``. Every field of the schema must be there
    and may be null; other fields are refused.

    Args:
        schema: What the model takes.
        max_rows: Most rows in one request.
    """

    def __init__(self, schema: InputSchema, *, max_rows: int) -> None:
        fields = [(field.name, _TYPES[field.type] | None) for field in schema.request]
        row = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True)
        body = msgspec.defstruct(
            "Body",
            [("inputs", list[row] | row), ("id", str | None, None), ("ids", list[str] | None, None)],  # type: ignore[valid-type]
            kw_only=True,
            forbid_unknown_fields=True,
        )
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(body).decode
        self._instants = tuple(field.name for field in schema.request if field.type == "instant")
        self._expected = {field.name: _EXPECTED[field.type] for field in schema.request}
        self._max_rows = max_rows

    def decode(self, content: bytes) -> Request:
        """Decode a body.

        Raises:
            InvalidRequestError: If it is not JSON, or a field is missing, unknown or of another type; names the field,
                the value and what was expected.
        """
        try:
            body = self._decode(content)
        except msgspec.ValidationError as error:
            raise self._explain(error, content) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequestError("the body must be JSON", value=str(error), place="body") from error
        rows = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        if not 0 < len(rows) <= self._max_rows:
            raise InvalidRequestError(
                f"a request must hold between 1 and {self._max_rows} rows", value=len(rows), place="inputs"
            )
        return Request(rows=[self._plain(row) for row in rows], ids=_ids(body.id, body.ids, len(rows)))

    def _plain(self, row: Any) -> dict[str, Any]:
        values: dict[str, Any] = msgspec.structs.asdict(row)
        for name in self._instants:
            instant = values[name]
            if instant is not None and instant.tzinfo is not UTC:
                values[name] = instant.astimezone(UTC)
        return values

    def _explain(self, error: msgspec.ValidationError, content: bytes) -> InvalidRequestError:
        found = _PLACE.match(str(error))
        assert found is not None
        path = (found["path"] or "$").removeprefix("$").lstrip(".") or "body"
        steps = [step[0] or int(step[1]) for step in _STEP.findall(f".{path}")]
        field = steps[-1] if steps else ""
        rule = found["text"]
        if isinstance(field, str) and field in self._expected and "Expected" in rule:
            rule = f"the field must be {self._expected[field]}"
        return InvalidRequestError(rule, value=_shown(_value_at(content, steps)), place=path)


def _ids(one: str | None, many: list[str] | None, rows: int) -> list[str] | None:
    if one is not None and many is not None:
        raise InvalidRequestError("a request has an id or ids, not both", place="id")
    if one is not None:
        given = [one] if rows == 1 else [f"{one}-{number}" for number in range(rows)]
    elif many is not None:
        given = many
    else:
        return None
    if len(given) != rows or len(set(given)) != rows:
        raise InvalidRequestError(
            f"there must be {rows} different ids, one for each row", value=len(given), place="ids"
        )
    for each in given:
        if not 0 < len(each) <= _LONGEST_ID:
            raise InvalidRequestError(f"an id must have 1 to {_LONGEST_ID} characters", value=_shown(each), place="id")
    return given


def _value_at(content: bytes, steps: list[str | int]) -> object:
    """The offending value, for the message."""
    value: Any = msgspec.json.decode(content)
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _shown(value: object) -> object:
    text = repr(value)
    return value if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
