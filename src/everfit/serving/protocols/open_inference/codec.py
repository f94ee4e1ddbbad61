"""Codec of the Open Inference Protocol, with Triton's binary tensors."""

from __future__ import annotations

import struct
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from everfit.core.errors import InvalidRequestError
from everfit.serving.http.responses import Response, encode_json, json_response
from everfit.serving.protocols.codec import Codec
from everfit.serving.protocols.json import decode_json, require_few
from everfit.serving.protocols.open_inference.tensor import Tensor
from everfit.serving.protocols.tabular_request import Values

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder

OUTPUT = "predictions"
_HEAD_SIZE = b"inference-header-content-length"
BINARY = b"application/octet-stream"


class _Output(Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class _Infer(Struct, frozen=True):
    """Body of a request; further members, such as ``model_name``, are ignored."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


class _ResponseFormat(NamedTuple):
    id: str
    is_binary: bool


_BODY = msgspec.json.Decoder(_Infer)


def _read(decoder: RequestDecoder, http: HttpRequest) -> Request:
    body = http.body
    head = _head_size(http.header(_HEAD_SIZE), len(body))
    infer = decode_json(_BODY, body[:head] if head < len(body) else body, "must be a request of the protocol")
    columns = _read_columns(decoder, infer.inputs, memoryview(body)[head:])
    response_format = _ResponseFormat(infer.id or "", _wants_binary(infer))
    return decoder.convert_columns(columns, id=infer.id or None, response_format=response_format)


def _write(model: ServedModel, request: Request, predictions: PredictionResponse) -> Response:
    response_format: _ResponseFormat = request.response_format
    shape, numbers = _flatten(predictions)
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": shape}
    content = {
        "model_name": model.name,
        "model_version": str(predictions.version),
        # Without an id in the request, that of the row: its outcome is reported by it.
        "id": response_format.id or (predictions.ids[0] if len(predictions.ids) == 1 else ""),
        "outputs": [output],
    }
    if not response_format.is_binary:
        output["data"] = numbers
        return json_response(content)
    raw = struct.pack(f"<{len(numbers)}d", *[nan if number is None else number for number in numbers])
    output["parameters"] = {"binary_data_size": len(raw)}
    head = encode_json(content)
    return Response(200, head + raw, BINARY, ((_HEAD_SIZE, str(len(head)).encode()),))


TENSORS = Codec(_read, _write, write_error=lambda info: info.response({"error": info.message}))
"""Tensors in, and one tensor out."""


def _head_size(header: bytes, most: int) -> int:
    if not header:
        return most
    if not header.isdigit() or len(header) > 18 or int(header) > most:
        rule, shown = f"must be the size of the JSON at the body's beginning, at most {most} bytes", header[:100]
        raise InvalidRequestError(rule, value=shown.decode("latin-1"), place=_HEAD_SIZE.decode())
    return int(header)


def _read_columns(decoder: RequestDecoder, tensors: list[Tensor], raw: memoryview) -> dict[str, Values]:
    columns: dict[str, Values] = {}
    place = 0
    for tensor in tensors:
        if tensor.name in columns:
            raise tensor.wrong("must be given once")
        if tensor.rows != tensors[0].rows:
            raise tensor.wrong(f"must have as many rows as the first input, {tensors[0].rows}", tensor.rows)
        require_few(tensor.rows, decoder.max_rows)
        size = tensor.binary_size
        if size is None:
            columns[tensor.name] = tensor.read_json()
            continue
        if size > len(raw) - place:
            raise tensor.wrong(f"binary_data_size must be there: {len(raw) - place} bytes are left", size)
        columns[tensor.name] = tensor.read_binary(raw[place : place + size])
        place += size
    if place != len(raw):
        rule = "the inputs' binary_data_size must add up to what follows the JSON"
        raise InvalidRequestError(f"{rule}, {len(raw)} bytes", value=place, place="inputs")
    return columns


def _wants_binary(infer: _Infer) -> bool:
    """Return ``True`` if the only output is requested in binary."""
    is_binary = (infer.parameters or {}).get("binary_data_output") is True
    for output in infer.outputs or ():
        if output.name != OUTPUT:
            raise InvalidRequestError(f"must be {OUTPUT}, the only output", value=output.name[:100], place="outputs")
        parameters = output.parameters or {}
        for name in ("classification", "shared_memory_region"):
            if name in parameters:
                raise InvalidRequestError("must not be requested: this service does not offer it", place=name)
        is_binary = parameters.get("binary_data", is_binary) is True
    return is_binary


def _flatten(predictions: PredictionResponse) -> tuple[list[int], list[float | None]]:
    """Return the output's shape and numbers, row by row."""
    values = predictions.predictions
    # Two versions may have different classes.
    names = list(dict.fromkeys(name for value in values if isinstance(value, dict) for name in value))
    if not names:
        return [len(values)], values  # type: ignore[return-value]
    numbers = [value.get(name) for value in values if isinstance(value, dict) for name in names]
    return [len(values), len(names)], numbers
