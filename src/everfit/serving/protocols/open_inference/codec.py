"""The Open Inference Protocol's way to ask for predictions, with Triton's binary tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from everfit.artifact.values import Values
from everfit.core.errors import InvalidRequestError
from everfit.serving.http.responses import Refusal, Reply, encode_json, reply_json
from everfit.serving.protocols.open_inference.tensor import Tensor, pack_numbers
from everfit.serving.protocols.tabular_request import to_request

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Answer
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder

OUTPUT = "predictions"
_HEAD_SIZE = b"inference-header-content-length"
_BINARY = b"application/octet-stream"


class _Output(Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class _Infer(Struct, frozen=True):
    """Clients send more than this, such as ``model_name``; it says nothing new."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


class _Wish(NamedTuple):
    id: str
    is_binary: bool


_decode = msgspec.json.Decoder(_Infer).decode


class OpenInferenceDialect:
    """Tensors in, one tensor out; see :class:`everfit.serving.protocols.codec.Dialect`."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """As :class:`everfit.serving.protocols.codec.Dialect` promises."""
        body = http.body
        head = _head_size(http.header(_HEAD_SIZE), len(body))
        try:
            infer = _decode(body[:head] if head < len(body) else body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise InvalidRequestError(f"must be a request of the protocol: {problem}", place="body") from problem
        columns = _read_columns(decoder, infer.inputs, memoryview(body)[head:])
        wish = _Wish(infer.id or "", _wants_binary(infer))
        return to_request(decoder, columns, id=infer.id or None, wish=wish)

    def write(self, model: ServedModel, request: Request, answer: Answer) -> Reply:
        """As :class:`everfit.serving.protocols.codec.Dialect` promises."""
        wish: _Wish = request.wish
        shape, numbers = _flatten(answer)
        output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": shape}
        content = {
            "model_name": model.name,
            "model_version": str(answer.version),
            # Who gave no id needs that of the row, to report its outcome.
            "id": wish.id or (answer.ids[0] if len(answer.ids) == 1 else ""),
            "outputs": [output],
        }
        if not wish.is_binary:
            output["data"] = numbers
            return reply_json(content)
        raw = pack_numbers(numbers)
        output["parameters"] = {"binary_data_size": len(raw)}
        head = encode_json(content)
        return Reply(200, head + raw, _BINARY, ((_HEAD_SIZE, str(len(head)).encode()),))

    def refuse(self, refusal: Refusal) -> Reply:
        """``{"error": "…"}``."""
        return Reply(refusal.status, encode_json({"error": refusal.message}), headers=refusal.headers)


def _head_size(told: bytes, most: int) -> int:
    if not told:
        return most
    if not told.isdigit() or len(told) > 18 or int(told) > most:
        raise InvalidRequestError(
            f"must be the size of the JSON at the body's beginning, at most {most} bytes",
            value=told[:100].decode("latin-1"),
            place="inference-header-content-length",
        )
    return int(told)


def _read_columns(decoder: RequestDecoder, tensors: list[Tensor], raw: memoryview) -> dict[str, Values]:
    columns: dict[str, Values] = {}
    place = 0
    for tensor in tensors:
        if tensor.name in columns:
            raise tensor.wrong("must be given once")
        if tensor.rows != tensors[0].rows:
            raise tensor.wrong(f"must have as many rows as the first input, {tensors[0].rows}", tensor.rows)
        decoder.require_few(tensor.rows)
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
    """Check which outputs are wanted, and say whether the only one is wanted in binary."""
    is_binary = (infer.parameters or {}).get("binary_data_output") is True
    for output in infer.outputs or ():
        if output.name != OUTPUT:
            raise InvalidRequestError(f"must be {OUTPUT}, the only output", value=output.name[:100], place="outputs")
        parameters = output.parameters or {}
        for name in ("classification", "shared_memory_region"):
            if name in parameters:
                raise InvalidRequestError("must not be asked for: this service does not offer it", place=name)
        is_binary = parameters.get("binary_data", is_binary) is True
    return is_binary


def _flatten(answer: Answer) -> tuple[list[int], list[float | None]]:
    """Shape and numbers, row by row."""
    predictions = answer.predictions
    # Two versions need not know the same classes.
    names = list(dict.fromkeys(name for each in predictions if isinstance(each, dict) for name in each))
    if not names:
        return [len(predictions)], predictions  # type: ignore[return-value]
    numbers = [each.get(name) for each in predictions if isinstance(each, dict) for name in names]
    return [len(predictions), len(names)], numbers
