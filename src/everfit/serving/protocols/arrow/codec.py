"""Codec of Arrow IPC: ``POST /predict/{model}`` with a table instead of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everfit.serving.http.responses import Response, error_response, json_response
from everfit.serving.protocols.arrow.reader import read_table
from everfit.serving.protocols.arrow.writer import write_table
from everfit.serving.protocols.codec import Codec

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder

ARROW_STREAM = b"application/vnd.apache.arrow.stream"
ARROW_FILE = b"application/vnd.apache.arrow.file"


def _read(decoder: RequestDecoder, http: HttpRequest) -> Request:
    is_file = http.header(b"content-type").lower().startswith(ARROW_FILE)
    columns = read_table(http.body, is_file=is_file, max_rows=decoder.max_rows)
    return decoder.convert_columns(columns, response_format=ARROW_STREAM in http.header(b"accept"))


def _write(_: ServedModel, request: Request, predictions: PredictionResponse) -> Response:
    """Return a table with the columns ``id``, ``version``, and ``prediction`` or one ``prediction.CLASS`` per class."""
    if not request.response_format:
        return json_response(predictions)
    values = predictions.predictions
    columns: dict[str, list[Any]] = {
        "id": predictions.ids,
        "version": predictions.versions or [predictions.version] * len(predictions.ids),
    }
    classes = dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    for name in classes:
        columns[f"prediction.{name}"] = [value.get(name) for value in values if isinstance(value, dict)]
    if not classes:
        columns["prediction"] = values
    return Response(200, write_table(columns), ARROW_STREAM)


ARROW_TABLE = Codec(_read, _write, error_response, is_slow=True)
"""A table in; JSON out, or a table if the client accepts one."""
