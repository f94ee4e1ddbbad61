"""Decoder of ``POST /predict/{model}``: from JSON to rows of typed values, or to an error that names the field.

The types are built once from the package's schema, so that msgspec checks while it decodes. Only a rejected request is
decoded again, slowly, to find the field at fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

from everfit.artifact.schema import FieldType, InputSchema, RequestField
from everfit.core.errors import InvalidRequestError, RequestTooLargeError
from everfit.core.instants import EARLIEST, EARLIEST_DAY, END, END_DAY, YEARS
from everfit.serving.http.responses import ErrorInfo, Response, error_response, json_response

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel

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


class _Ids(Struct):
    id: _Id | None
    ids: list[_Id] | None


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
    silent gap.
    """

    def __init__(self, schema: InputSchema, *, max_rows: int) -> None:
        self.fields = schema.request
        self._names = tuple(field.name for field in schema.request)
        self._integers = tuple(field.name for field in schema.request if field.type == "integer")
        self._instants = tuple(place for place, field in enumerate(schema.request) if field.type == "instant")
        times = [place for place, field in enumerate(schema.request) if field.name == schema.event_time]
        self._event_time = times[0] if times else None
        self.event_time = schema.event_time
        is_date = bool(times) and schema.request[times[0]].type == "date"
        self._first, self._end = (EARLIEST_DAY, END_DAY) if is_date else (EARLIEST, END)
        self.max_rows = max_rows
        row = _row(schema.request)
        self._kind = Annotated[list[row], Meta(min_length=1)]  # type: ignore[valid-type]
        self._columns = _columns(schema.request)
        self.envelope = _envelope(row)
        """The type of a body."""
        self._decode = msgspec.json.Decoder(self.envelope).decode

    def decode(self, body: bytes) -> Request:
        """Decode a request's body.

        Raises:
            InvalidRequestError: If it is not JSON, or a field is missing, unknown or of the wrong type; names the
                field, its value and what was expected.
            RequestTooLargeError: If it has more rows than are accepted.
        """
        try:
            envelope: Any = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            envelope = self._read_again(body, problem)
        inputs = envelope.inputs
        rows = self._rows(inputs if isinstance(inputs, list) else [inputs])
        if envelope.id is None and envelope.ids is None:
            return Request(rows=rows)
        return Request(rows=rows, ids=_settle_ids(envelope.id, envelope.ids, len(rows)))

    def convert(
        self,
        inputs: Sequence[Mapping[str, Any]],
        *,
        id: str | None = None,  # noqa: A002 - the name in every protocol
        ids: list[str] | None = None,
        lax: bool = False,
        response_format: Any = None,
    ) -> Request:
        """Check the rows of another protocol by the same rules.

        Args:
            inputs: Rows of values as JSON has them, by field name.
            id: For all of them; the rows' ids are made of it.
            ids: One for each row.
            lax: Take text for the number, boolean or instant that it spells, as CSV needs.
            response_format: See :attr:`Request.response_format`.

        Raises:
            InvalidRequestError: As :meth:`decode`.
            RequestTooLargeError: As :meth:`decode`.
        """
        try:
            found = msgspec.convert(inputs, self._kind, strict=not lax)
        except msgspec.ValidationError as problem:
            wrong = self._find({"inputs": list(inputs)}, lax=lax)
            raise wrong or _wrong("inputs", "must be rows of the request's fields", str(problem)) from problem
        rows = self._rows(found)
        self._require_finite(rows)
        return self._admit(rows, id, ids, response_format)

    def convert_columns(
        self,
        columns: Mapping[str, Sequence[Any]],
        *,
        id: str | None = None,  # noqa: A002 - as in convert
        response_format: Any = None,
    ) -> Request:
        """Check the columns of another protocol by the same rules; several times faster than rows.

        Args:
            columns: Of equal length, each with at least one value as JSON has them, by the name of every field.
            id: As in :meth:`convert`.
            response_format: See :attr:`Request.response_format`.

        Raises:
            InvalidRequestError: As :meth:`decode`.
            RequestTooLargeError: As :meth:`decode`.
        """
        try:
            found = astuple(msgspec.convert(columns, self._columns))
        except msgspec.ValidationError as problem:
            wrong = next(
                filter(None, (self._find_in_column(field, columns[field.name]) for field in self.fields)), None
            )
            raise wrong or _wrong("inputs", "must be columns of the request's fields", str(problem)) from problem
        for field, values in zip(self.fields, found, strict=True):
            # One fast check of all values; the sum of large finite values may be infinite.
            if field.type == "number" and not isfinite(sum(filter(None, values))):
                self._require_finite_column(field.name, values)
        rows: list[Row] = list(zip(*found, strict=True))
        self.require_few(len(rows))
        return self._admit(self._settle_instants(rows), id, None, response_format)

    def _admit(self, rows: list[Row], id: str | None, ids: list[str] | None, response_format: Any) -> Request:  # noqa: A002
        if id is None and ids is None:
            return Request(rows=rows, response_format=response_format)
        if not _fits({"id": id, "ids": ids}, _Ids):
            raise _wrong("id", f"must be text of 1 to {LONGEST_ID} characters, ids a list of it", id or ids)
        return Request(rows=rows, ids=_settle_ids(id, ids, len(rows)), response_format=response_format)

    def require_few(self, rows: int) -> None:
        """Check the number of rows before they are processed.

        Raises:
            RequestTooLargeError: If there are more than are accepted.
        """
        if rows > self.max_rows:
            raise RequestTooLargeError(
                f"a request may hold at most {self.max_rows} rows",
                value=rows,
                remedy="Send them in several requests.",
                place="inputs",
            )

    def _rows(self, given: list[Any]) -> list[Row]:
        self.require_few(len(given))
        return self._settle_instants(list(map(astuple, given)))

    def _settle_instants(self, rows: list[Row]) -> list[Row]:
        for place in self._instants:
            if any(row[place] is not None and row[place].tzinfo is not UTC for row in rows):
                rows = [self._in_utc(row, place) for row in rows]
        if self._event_time is not None:
            self._require_event_times(rows, self._event_time)
        return rows

    def _require_event_times(self, rows: list[Row], event_time: int) -> None:
        first, end = self._first, self._end
        for number, row in enumerate(rows):
            value = row[event_time]
            if value is not None and not first <= value < end:
                raise _wrong(f"inputs[{number}].{self._names[event_time]}", YEARS, value.isoformat())

    def _require_finite(self, rows: list[Row]) -> None:
        """Check numbers: other protocols can carry NaN and infinity, JSON cannot."""
        for place, field in enumerate(self.fields):
            if field.type == "number":
                self._require_finite_column(field.name, [row[place] for row in rows])

    def _require_finite_column(self, name: str, values: Sequence[float | None]) -> None:
        for number, value in enumerate(values):
            if value is not None and not isfinite(value):
                raise _wrong(f"inputs[{number}].{name}", f"must be {_EXPECTED['number']}", value)

    def _in_utc(self, row: Row, place: int) -> Row:
        try:
            return row if row[place] is None else (*row[:place], row[place].astimezone(UTC), *row[place + 1 :])
        except OverflowError as problem:
            rule = "must be an instant of the years 1 to 9999 in UTC"
            raise _wrong(self._names[place], rule, str(row[place])) from problem

    def _read_again(self, body: bytes, problem: Exception) -> Any:
        """Decode a rejected body again, with 3 for 3.0, which JSON does not distinguish.

        Raises:
            InvalidRequestError: If it is still invalid; names the field.
        """
        found = self._parse(body, problem)
        inputs = found.get("inputs")
        for row in inputs if isinstance(inputs, list) else [inputs]:
            if isinstance(row, dict):
                make_whole(row, self._integers)
        try:
            return msgspec.convert(found, self.envelope)
        except msgspec.ValidationError as still:
            wrong = self._find(found)
            raise wrong or _wrong("body", "must be a request", str(still)) from problem

    @staticmethod
    def _parse(body: bytes, problem: Exception) -> dict[str, Any]:
        if isinstance(problem, RecursionError):
            raise _wrong("body", "must not be nested deeper than a request is") from problem
        try:
            found = msgspec.json.decode(body)
        except msgspec.ValidationError:  # a number that no double can hold: the value itself is lost
            path = re.search(r"`\$\.?(.*)`$", str(problem))
            raise _wrong(path[1] if path else "body", "must be a finite number") from problem
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as malformed:
            rule = "must be JSON, in which NaN and Infinity do not exist"
            raise _wrong("body", rule, f"{malformed}") from problem
        if not isinstance(found, dict):
            raise _wrong("body", 'must be an object such as {"inputs": [{…}]}', found) from problem
        return found

    def _find(self, found: dict[str, Any], *, lax: bool = False) -> InvalidRequestError | None:
        for name, value in found.items():
            if name not in {"inputs", "id", "ids"}:
                return _wrong(name, "must not be given: a request has inputs, and perhaps id or ids", value)
        if "inputs" not in found:
            return _wrong("inputs", "must be given, as one object or a list of them")
        inputs = found["inputs"]
        if not isinstance(inputs, dict | list) or not inputs:
            return _wrong("inputs", "must be one object, or a list of at least one", inputs)
        for place, row in enumerate(inputs) if isinstance(inputs, list) else [(None, inputs)]:
            wrong = self._find_in_row("inputs" if place is None else f"inputs[{place}]", row, lax=lax)
            if wrong is not None:
                return wrong
        for name, kind in (("id", _Id), ("ids", list[_Id])):
            if not _fits(found.get(name), kind | None):
                return _wrong(name, f"must be text of 1 to {LONGEST_ID} characters, ids a list of it", found[name])
        return None

    def _find_in_column(self, field: RequestField, values: Sequence[Any]) -> InvalidRequestError | None:
        for number, value in enumerate(values):
            if not _fits(value, _TYPES[field.type]):
                return _wrong(f"inputs[{number}].{field.name}", f"must be {_EXPECTED[field.type]}", value)
        return None

    def _find_in_row(self, place: str, row: Any, *, lax: bool) -> InvalidRequestError | None:
        if not isinstance(row, dict):
            return _wrong(place, "must be an object with the model's request fields", row)
        for field in self.fields:
            at = f"{place}.{field.name}"
            if field.name not in row:
                return _wrong(at, f"must be given: {_EXPECTED[field.type]}")
            if not _fits(row[field.name], _TYPES[field.type], lax=lax):
                return _wrong(at, f"must be {_EXPECTED[field.type]}", row[field.name])
        for name in row:
            if name not in self._names:
                rule = f"must not be given: the request fields are {', '.join(self._names)}"
                return _wrong(f"{place}.{name}", rule, row[name])
        return None


def make_whole(row: dict[str, Any], names: Sequence[str]) -> None:
    """Convert whole floats of the named fields of a row to integers, in place."""
    for name in names:
        value = row.get(name)
        if isinstance(value, float) and value.is_integer():
            row[name] = int(value)


def _row(fields: Sequence[RequestField]) -> type[Struct]:
    # Positions as attribute names, since a column may be called anything; callers see the column's own name.
    places = {f"field_{number}": field.name for number, field in enumerate(fields)}
    return msgspec.defstruct(
        "Row",
        [(place, _TYPES[field.type]) for place, field in zip(places, fields, strict=True)],
        rename=places,
        forbid_unknown_fields=True,
        gc=False,
    )


def _columns(fields: Sequence[RequestField]) -> type[Struct]:
    places = {f"field_{number}": field.name for number, field in enumerate(fields)}
    kinds: list[Any] = [list.__class_getitem__(_TYPES[field.type]) for field in fields]
    return msgspec.defstruct("Columns", list(zip(places, kinds, strict=True)), rename=places)


def _envelope(row: type[Struct]) -> type[Struct]:
    rows: Any = Annotated[list[row], Meta(min_length=1)]  # type: ignore[valid-type]
    return msgspec.defstruct(
        "Envelope",
        [("inputs", rows | row), ("id", _Id | None, None), ("ids", list[_Id] | None, None)],
        forbid_unknown_fields=True,
    )


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


class JsonCodec:
    """:class:`~everfit.serving.protocols.codec.Codec` of ``POST /predict/{model}``: JSON in and out."""

    is_slow = False

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """See :class:`~everfit.serving.protocols.codec.Codec`."""
        return decoder.decode(http.body)

    def write(self, model: ServedModel, request: Request, predictions: PredictionResponse) -> Response:  # noqa: ARG002
        """See :class:`~everfit.serving.protocols.codec.Codec`."""
        return json_response(predictions)

    def write_error(self, info: ErrorInfo) -> Response:
        """See :class:`~everfit.serving.protocols.codec.Codec`."""
        return error_response(info)
