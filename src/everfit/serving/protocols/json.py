"""Decoder of ``POST /predict/{model}``: from JSON to rows of typed values, or to an error that names the field.

The types are built once from the package's schema, so that msgspec checks while it decodes. Only a rejected request is
decoded again, slowly, to find the field at fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import isfinite
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple

from everfit.artifact.schema import FieldType, InputSchema, RequestField
from everfit.core.errors import InvalidRequestError, RequestTooLargeError
from everfit.core.instants import EARLIEST, EARLIEST_DAY, END, END_DAY, YEARS
from everfit.serving.http.responses import error_response, json_response
from everfit.serving.protocols.codec import Codec
from everfit.serving.protocols.tabular_request import Values, fit_columns

LONGEST_ID = 200
_LONGEST_SHOWN = 100
INT64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Integers that data frames and stores can hold."""
_TYPES: Mapping[FieldType, Any] = {
    "string": str | None,
    "integer": INT64 | None,
    "number": float | None,
    "boolean": bool | None,
    "instant": Annotated[datetime, Meta(tz=True)] | None,
    "date": date | None,
}
_EXPECTED: Mapping[FieldType, str] = {
    "string": "text or null",
    "integer": "an integer of 64 bits or null",
    "number": "a finite number or null",
    "boolean": "true, false or null",
    "instant": "an instant with a time zone, such as 2024-03-01T08:30:00Z, or null",
    "date": "a date such as 2024-03-01, or null",
}
_Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_T = TypeVar("_T")
Row = tuple[Any, ...]


class Request(Struct, frozen=True, kw_only=True):
    """The rows of a prediction request."""

    rows: Sequence[Row]
    """At least one, each the values of the schema's request in its order: ``str``, ``int``, ``float``, ``bool``,
    ``datetime`` in UTC, ``date`` or ``None``."""
    ids: list[str] | None = None
    """One for each row; ``None`` if the service makes them."""
    response_format: Any = None
    """Requested form of the response; set and read by the codec."""


class RequestDecoder:
    """Decodes ``{"inputs": [{…}, …], "ids"?: ["…", …]}`` or ``{"inputs": {…}, "id"?: "…"}``.

    Every request field must be given; an unknown value is null. So a misspelt or forgotten field is an error, never a
    silent gap. Every method raises :class:`InvalidRequestError` if a field is missing, unknown or of the wrong type,
    with the field, its value and what was expected, and :class:`RequestTooLargeError` if there are more rows than are
    accepted.
    """

    def __init__(self, schema: InputSchema, *, max_rows: int) -> None:
        self.fields = schema.request
        self.event_time = schema.event_time
        self.max_rows = max_rows
        types = {field.name: field.type for field in schema.request}
        self.integers = [name for name, kind in types.items() if kind == "integer"]
        """Names of the integer fields."""
        self._names = tuple(types)
        self._instants = [place for place, kind in enumerate(types.values()) if kind == "instant"]
        self._event_time = self._names.index(schema.event_time) if schema.event_time in types else None
        is_date = types.get(schema.event_time) == "date"
        self._years = (EARLIEST_DAY, END_DAY) if is_date else (EARLIEST, END)
        row: Any = _struct("Row", {name: _TYPES[kind] for name, kind in types.items()})
        self._rows_type: Any = Annotated[list[row], Meta(min_length=1)]
        lists = {name: list.__class_getitem__(_TYPES[kind]) for name, kind in types.items()}
        self._columns_type = _struct("Columns", lists)
        self.envelope = msgspec.defstruct(
            "Envelope",
            [("inputs", self._rows_type | row), ("id", _Id | None, None), ("ids", list[_Id] | None, None)],
            forbid_unknown_fields=True,
        )
        """The type of a body."""
        self._decode = msgspec.json.Decoder(self.envelope).decode

    def decode(self, body: bytes) -> Request:
        """Decode a request's body."""
        try:
            envelope: Any = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            envelope = self._read_again(body, problem)
        inputs = envelope.inputs
        rows = self._rows(inputs if isinstance(inputs, list) else [inputs])
        if envelope.id is None and envelope.ids is None:
            return Request(rows=rows)
        return Request(rows=rows, ids=_settle_ids(envelope.id, envelope.ids, len(rows)))

    def convert(self, inputs: Sequence[Mapping[str, Any]], *, lax: bool = False) -> Request:
        """Check the rows of another protocol, values as JSON has them, by the same rules.

        ``lax`` takes text for the number, boolean or instant that it spells, as CSV needs.
        """
        try:
            found = msgspec.convert(inputs, self._rows_type, strict=not lax)
        except msgspec.ValidationError as problem:
            self._explain({"inputs": list(inputs)}, lax=lax)
            raise _wrong("inputs", "must be rows of the request's fields", str(problem)) from problem
        rows = self._rows(found)
        self._require_finite(zip(*rows, strict=True))
        return Request(rows=rows)

    def convert_columns(
        self,
        columns: Mapping[str, Values],
        *,
        id: str | None = None,  # noqa: A002 - the name in every protocol
        response_format: Any = None,
    ) -> Request:
        """Check the columns of another protocol by the same rules; several times faster than rows.

        They are of equal length, at most as many as are accepted; the rows' ids are made of ``id``.
        """
        fitted = fit_columns(self.fields, columns)
        try:
            found = astuple(msgspec.convert(fitted, self._columns_type))
        except msgspec.ValidationError as problem:
            for field in self.fields:
                for number, value in enumerate(fitted[field.name]):
                    _require_fit(f"inputs[{number}]", field, value)
            raise _wrong("inputs", "must be columns of the request's fields", str(problem)) from problem
        self._require_finite(found)
        rows = self._settle_instants(list(zip(*found, strict=True)))
        if not _fits(id, _Id | None):
            raise _wrong("id", f"must be text of 1 to {LONGEST_ID} characters, ids a list of it", id)
        ids = None if id is None else _settle_ids(id, None, len(rows))
        return Request(rows=rows, ids=ids, response_format=response_format)

    def _rows(self, given: list[Any]) -> list[Row]:
        require_few(len(given), self.max_rows)
        return self._settle_instants(list(map(astuple, given)))

    def _settle_instants(self, rows: list[Row]) -> list[Row]:
        """Return the rows with instants in UTC; those of the event time must be in the years that are accepted."""
        for place in self._instants:
            if any(row[place] is not None and row[place].tzinfo is not UTC for row in rows):
                rows = [self._in_utc(row, place) for row in rows]
        if self._event_time is not None:
            first, end = self._years
            for number, row in enumerate(rows):
                value = row[self._event_time]
                if value is not None and not first <= value < end:
                    raise _wrong(f"inputs[{number}].{self.event_time}", YEARS, value.isoformat())
        return rows

    def _in_utc(self, row: Row, place: int) -> Row:
        try:
            return row if row[place] is None else (*row[:place], row[place].astimezone(UTC), *row[place + 1 :])
        except OverflowError as problem:
            rule = "must be an instant of the years 1 to 9999 in UTC"
            raise _wrong(self._names[place], rule, str(row[place])) from problem

    def _require_finite(self, columns: Iterable[Sequence[Any]]) -> None:
        """Check numbers: other protocols can carry NaN and infinity, JSON cannot."""
        for field, values in zip(self.fields, columns, strict=True):
            # One fast check of all values; the sum of large finite values may be infinite.
            if field.type == "number" and not isfinite(sum(filter(None, values))):
                for number, value in enumerate(values):
                    if value is not None and not isfinite(value):
                        raise _wrong(f"inputs[{number}].{field.name}", f"must be {_EXPECTED['number']}", value)

    def _read_again(self, body: bytes, problem: Exception) -> Any:
        """Decode a rejected body again, with 3 for 3.0, which JSON does not distinguish."""
        found = _parse(body, problem)
        inputs = found.get("inputs")
        for row in inputs if isinstance(inputs, list) else [inputs]:
            if isinstance(row, dict):
                make_whole(row, self.integers)
        try:
            return msgspec.convert(found, self.envelope)
        except msgspec.ValidationError as still:
            self._explain(found)
            raise _wrong("body", "must be a request", str(still)) from problem

    def _explain(self, found: dict[str, Any], *, lax: bool = False) -> None:
        """Raise the error that names the field at fault."""
        for name, value in found.items():
            if name not in {"inputs", "id", "ids"}:
                raise _wrong(name, "must not be given: a request has inputs, and perhaps id or ids", value)
        if "inputs" not in found:
            raise _wrong("inputs", "must be given, as one object or a list of them")
        inputs = found["inputs"]
        if not isinstance(inputs, dict | list) or not inputs:
            raise _wrong("inputs", "must be one object, or a list of at least one", inputs)
        if isinstance(inputs, dict):
            self._explain_row("inputs", inputs, lax=lax)
        else:
            for number, row in enumerate(inputs):
                self._explain_row(f"inputs[{number}]", row, lax=lax)
        for name, kind in (("id", _Id), ("ids", list[_Id])):
            if not _fits(found.get(name), kind | None):
                raise _wrong(name, f"must be text of 1 to {LONGEST_ID} characters, ids a list of it", found[name])

    def _explain_row(self, place: str, row: Any, *, lax: bool) -> None:
        if not isinstance(row, dict):
            raise _wrong(place, "must be an object with the model's request fields", row)
        for field in self.fields:
            if field.name not in row:
                raise _wrong(f"{place}.{field.name}", f"must be given: {_EXPECTED[field.type]}")
            _require_fit(place, field, row[field.name], lax=lax)
        for name in row:
            if name not in self._names:
                rule = f"must not be given: the request fields are {', '.join(self._names)}"
                raise _wrong(f"{place}.{name}", rule, row[name])


def require_few(rows: int, most: int, place: str = "inputs") -> None:
    """Check the number of rows before they are processed. Raises :class:`RequestTooLargeError`."""
    if rows > most:
        rule, remedy = f"a request may hold at most {most} rows", "Send them in several requests."
        raise RequestTooLargeError(rule, value=rows, remedy=remedy, place=place)


def decode_json(decoder: msgspec.json.Decoder[_T], body: bytes | Raw, rule: str, place: str = "body") -> _T:
    """Return a decoded body. Raises :class:`InvalidRequestError` with a rule if it has not the decoder's type."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidRequestError(f"{rule}: {problem}", place=place) from problem


def make_whole(row: dict[str, Any], names: Sequence[str]) -> None:
    """Convert whole floats of the named fields of a row to integers, in place."""
    for name in names:
        value = row.get(name)
        if isinstance(value, float) and value.is_integer():
            row[name] = int(value)


def _parse(body: bytes, problem: Exception) -> dict[str, Any]:
    if isinstance(problem, RecursionError):
        raise _wrong("body", "must not be nested deeper than a request is") from problem
    try:
        found = msgspec.json.decode(body)
    except msgspec.ValidationError:  # a number that no double can hold: the value itself is lost
        path = re.search(r"`\$\.?(.*)`$", str(problem))
        raise _wrong(path[1] if path else "body", "must be a finite number") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as malformed:
        raise _wrong("body", "must be JSON, in which NaN and Infinity do not exist", f"{malformed}") from problem
    if not isinstance(found, dict):
        raise _wrong("body", 'must be an object such as {"inputs": [{…}]}', found) from problem
    return found


def _struct(name: str, types: Mapping[str, Any]) -> type[Struct]:
    # Positions as attribute names, since a column may be called anything; callers see the column's own name.
    places = {f"field_{number}": column for number, column in enumerate(types)}
    members = list(zip(places, types.values(), strict=True))
    return msgspec.defstruct(name, members, rename=places, forbid_unknown_fields=True, gc=False)


def _settle_ids(one: str | None, many: list[str] | None, rows: int) -> list[str]:
    if one is not None and many is not None:
        raise _wrong("ids", "must not be given together with id")
    if many is None:
        return [f"{one}"] if rows == 1 else [f"{one}-{place}" for place in range(rows)]
    if len(many) != rows:
        raise _wrong("ids", f"must be as many as there are rows, {rows}", len(many))
    if len(set(many)) != rows:
        raise _wrong("ids", "must differ from each other", next(row_id for row_id in many if many.count(row_id) > 1))
    return many


def _require_fit(place: str, field: RequestField, value: Any, *, lax: bool = False) -> None:
    if not _fits(value, _TYPES[field.type], lax=lax):
        raise _wrong(f"{place}.{field.name}", f"must be {_EXPECTED[field.type]}", value)


def _fits(value: Any, kind: Any, *, lax: bool = False) -> bool:
    try:
        msgspec.convert(value, kind, strict=not lax)
    except msgspec.ValidationError:
        return False
    return True


def _wrong(field: str, rule: str, value: Any = None) -> InvalidRequestError:
    return InvalidRequestError(rule, value=_shortened(value), place=field)


def _shortened(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**64 else f"{str(value)[:_LONGEST_SHOWN]}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


JSON_ROWS = Codec(
    read=lambda decoder, http: decoder.decode(http.body),
    write=lambda _model, _request, predictions: json_response(predictions),
    write_error=error_response,
)
"""Codec of ``POST /predict/{model}``: JSON in and out."""
