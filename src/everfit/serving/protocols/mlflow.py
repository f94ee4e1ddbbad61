"""MLflow's scoring protocol: ``/invocations`` with data frames as JSON, named columns or CSV, and ``/version``."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

import everfit
from everfit.core.errors import InvalidRequestError
from everfit.serving.http.responses import JSON, ErrorInfo, Response, json_response
from everfit.serving.protocols.codec import Codec
from everfit.serving.protocols.json import decode_json, make_whole, require_few

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder

CSV = b"text/csv"
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES: Mapping[int, str] = {
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    413: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
_Row = dict[str, Any]


class _Split(Struct):
    """Frame that pandas writes with ``orient="split"``; an ``index`` is ignored."""

    columns: list[str]
    data: list[list[Any]]


class _InvocationBody(Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | None = None
    dataframe_records: list[_Row] | None = None
    instances: list[_Row] | None = None
    inputs: list[_Row] | _Row | None = None
    params: _Row | None = None


_BODY = msgspec.json.Decoder(_InvocationBody)


def invoke(app: App, http: HttpRequest) -> Response | Awaitable[Response]:
    """Return predictions for rows in one of MLflow's forms."""
    media_type, _, options = http.header(b"content-type").lower().partition(b";")
    codec = _CODECS.get(media_type.strip())
    is_utf8 = b"charset" not in options or b"utf-8" in options or b"utf8" in options
    if codec is None or not is_utf8:
        return _write_error(ErrorInfo(415, "the content-type must be application/json or text/csv in UTF-8"))
    return app.predictions.handle(codec, http, _model(app, http.query))


def version(_app: App, _: HttpRequest) -> Response:
    """Return Everfit's version."""
    return Response(200, everfit.__version__.encode(), b"text/plain; charset=utf-8")


def _model(app: App, query: bytes) -> str:
    try:
        named = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=20).get("model")
    except ValueError as problem:
        raise InvalidRequestError("must be a query such as ?model=NAME", place="query") from problem
    served = named or list(app.data_plane.models)
    if not served:
        app.data_plane.require_ready()
    if named and len(named) > 1:
        raise InvalidRequestError("must be named once", value=named[:5], place="model")
    if len(served) > 1:
        rule = f"must be named, as in /invocations?model={served[0]}: served are {', '.join(served)}"
        raise InvalidRequestError(rule, place="model")
    return served[0]


def _read_json(decoder: RequestDecoder, http: HttpRequest) -> Request:
    body = decode_json(_BODY, http.body, f"must be JSON with rows of named values under one of {', '.join(_FORMS)}")
    if body.params:
        raise InvalidRequestError("must be empty: the model takes none", value=sorted(body.params), place="params")
    given = [name for name in _FORMS if getattr(body, name) is not None]
    if len(given) != 1:
        raise InvalidRequestError(f"must have exactly one of {', '.join(_FORMS)}", value=given, place="body")
    rows = _rows(decoder, getattr(body, given[0]), given[0])
    # pandas turns integers with a missing value among them into floats.
    for row in rows:
        make_whole(row, decoder.integers)
    return decoder.convert(rows)


def _rows(decoder: RequestDecoder, given: _Split | list[_Row] | _Row, form: str) -> list[_Row]:
    if isinstance(given, list):
        require_few(len(given), decoder.max_rows)
        return given
    if isinstance(given, _Split):
        require_few(len(given.data), decoder.max_rows)
        places = (f"{form}.data[{number}]" for number in range(len(given.data)))
        return _by_name(given.columns, given.data, f"{form}.columns", places)
    columns = {name: values if isinstance(values, list) else [values] for name, values in given.items()}
    sizes = {len(values) for values in columns.values()}
    if len(sizes) != 1:
        raise InvalidRequestError("must have columns of one length", value=sorted(sizes), place=form)
    require_few(max(sizes), decoder.max_rows)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _read_csv(decoder: RequestDecoder, http: HttpRequest) -> Request:
    """Read a header and rows; an empty cell is a missing value."""
    try:
        lines = csv.reader(io.StringIO(http.body.decode("utf-8-sig"), newline=""), strict=True)
        names = next(lines, [])
        # An empty line is a missing value of the only column, and none of several.
        filled = (cells or [""] for cells in lines if cells or len(names) <= 1)
        data = [[cell or None for cell in cells] for cells in islice(filled, decoder.max_rows + 1)]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InvalidRequestError(f"must be CSV in UTF-8: {problem}", place="body") from problem
    require_few(len(data), decoder.max_rows)
    places = (f"row {number}" for number in range(1, len(data) + 1))
    return decoder.convert(_by_name(names, data, "header", places), lax=True)


def _by_name(names: Sequence[str], data: Sequence[Sequence[Any]], header: str, places: Iterable[str]) -> list[_Row]:
    """Return rows of values by the names of their columns; ``header`` and ``places`` name the parts in errors."""
    if len(set(names)) != len(names):
        raise InvalidRequestError("must name every column once", value=list(names)[:50], place=header)
    for values, place in zip(data, places, strict=True):
        if len(values) != len(names):
            rule = f"must have a value for each of {len(names)} columns"
            raise InvalidRequestError(rule, value=len(values), place=place)
    return [dict(zip(names, values, strict=True)) for values in data]


def _write(_model: ServedModel, _request: Request, predictions: PredictionResponse) -> Response:
    return json_response({"predictions": predictions.predictions})


def _write_error(info: ErrorInfo) -> Response:
    return info.response({"error_code": _CODES.get(info.status, "INVALID_PARAMETER_VALUE"), "message": info.message})


JSON_INVOCATIONS = Codec(_read_json, _write, _write_error)
_CODECS: Mapping[bytes, Codec] = {JSON: JSON_INVOCATIONS, CSV: Codec(_read_csv, _write, _write_error)}
