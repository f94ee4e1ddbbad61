"""Codecs of MLflow's scoring protocol: data frames as JSON, named columns, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from everfit.core.errors import InvalidRequestError
from everfit.serving.http.responses import ErrorInfo, Response, encode_json, json_response
from everfit.serving.protocols.json import make_whole

if TYPE_CHECKING:
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
Row = dict[str, Any]


class _Split(Struct):
    """Frame that pandas writes with ``orient="split"``; an ``index`` is ignored."""

    columns: list[str]
    data: list[list[Any]]


class _InvocationBody(Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | None = None
    dataframe_records: list[Row] | None = None
    instances: list[Row] | None = None
    inputs: list[Row] | Row | None = None
    params: Row | None = None


_decode = msgspec.json.Decoder(_InvocationBody).decode


class _Invocations:
    is_slow = False

    def write(self, model: ServedModel, request: Request, predictions: PredictionResponse) -> Response:  # noqa: ARG002
        """See :class:`~everfit.serving.protocols.codec.Codec`."""
        return json_response({"predictions": predictions.predictions})

    def write_error(self, info: ErrorInfo) -> Response:
        """``{"error_code": "…", "message": "…"}``."""
        code = _CODES.get(info.status, "INVALID_PARAMETER_VALUE")
        content = {"error_code": code, "message": info.message}
        return Response(info.status, encode_json(content), headers=info.headers)


class JsonInvocations(_Invocations):
    """One of ``dataframe_split``, ``dataframe_records``, ``instances`` and ``inputs``."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """See :class:`~everfit.serving.protocols.codec.Codec`.

        Raises:
            InvalidRequestError: If the body violates the protocol or the model's signature.
        """
        try:
            body = _decode(http.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise InvalidRequestError(
                f"must be JSON with rows of named values under one of {', '.join(_FORMS)}: {problem}", place="body"
            ) from problem
        if body.params:
            raise InvalidRequestError("must be empty: the model takes none", value=sorted(body.params), place="params")
        given = [name for name in _FORMS if getattr(body, name) is not None]
        if len(given) != 1:
            raise InvalidRequestError(f"must have exactly one of {', '.join(_FORMS)}", value=given, place="body")
        rows = _rows(decoder, getattr(body, given[0]), given[0])
        # pandas turns integers with a missing value among them into floats.
        integers = [field.name for field in decoder.fields if field.type == "integer"]
        for row in rows:
            make_whole(row, integers)
        return decoder.convert(rows)


class CsvInvocations(_Invocations):
    """A header and rows; an empty cell is a missing value."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """See :class:`~everfit.serving.protocols.codec.Codec`.

        Raises:
            InvalidRequestError: If the body violates the protocol or the model's signature.
        """
        try:
            text = http.body.decode("utf-8-sig")
            lines = csv.reader(io.StringIO(text, newline=""), strict=True)
            names = next(lines, [])
            return decoder.convert(list(_read_lines(decoder, names, lines)), lax=True)
        except (UnicodeDecodeError, csv.Error) as problem:
            raise InvalidRequestError(f"must be CSV in UTF-8: {problem}", place="body") from problem


def _rows(decoder: RequestDecoder, given: _Split | list[Row] | Row, form: str) -> list[Row]:
    if isinstance(given, list):
        decoder.require_few(len(given))
        return given
    if isinstance(given, _Split):
        decoder.require_few(len(given.data))
        _require_different(given.columns, f"{form}.columns")
        for number, values in enumerate(given.data):
            _require_width(given.columns, values, f"{form}.data[{number}]")
        return [dict(zip(given.columns, values, strict=True)) for values in given.data]
    columns = {name: values if isinstance(values, list) else [values] for name, values in given.items()}
    sizes = {len(values) for values in columns.values()}
    if len(sizes) != 1:
        raise InvalidRequestError("must have columns of one length", value=sorted(sizes), place=form)
    decoder.require_few(*sizes)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _read_lines(decoder: RequestDecoder, names: Sequence[str], lines: Iterator[list[str]]) -> Iterator[Row]:
    _require_different(names, "header")
    number = 0
    for cells in lines:
        if not cells and len(names) > 1:
            continue  # an empty line
        number += 1
        decoder.require_few(number)
        values = cells or [""]
        _require_width(names, values, f"row {number}")
        yield {name: cell or None for name, cell in zip(names, values, strict=True)}


def _require_different(names: Sequence[str], place: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidRequestError("must name every column once", value=list(names)[:50], place=place)


def _require_width(names: Sequence[str], values: Sequence[Any], place: str) -> None:
    if len(values) != len(names):
        raise InvalidRequestError(f"must have a value for each of {len(names)} columns", value=len(values), place=place)
