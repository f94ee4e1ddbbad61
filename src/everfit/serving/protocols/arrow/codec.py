"""Large batches as Arrow IPC: ``POST /predict/{model}`` with a table instead of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everfit.serving.http.responses import Refusal, Reply, reply_json, say
from everfit.serving.protocols.arrow.stream import read_table, write_table
from everfit.serving.protocols.tabular_request import to_request

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Answer
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder

_STREAM = b"application/vnd.apache.arrow.stream"
_FILE = b"application/vnd.apache.arrow.file"


def is_arrow(content_type: bytes) -> bool:
    """Whether a body is Arrow IPC."""
    return content_type.lower().startswith((_STREAM, _FILE))


class ArrowDialect:
    """A table in; JSON out, or a table for who accepts one. See :class:`everfit.serving.protocols.codec.Dialect`."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """As :class:`everfit.serving.protocols.codec.Dialect` promises."""
        is_file = http.header(b"content-type").lower().startswith(_FILE)
        columns = read_table(http.body, is_file=is_file, max_rows=decoder.max_rows)
        return to_request(decoder, columns, wish=_STREAM in http.header(b"accept"))

    def write(self, model: ServedModel, request: Request, answer: Answer) -> Reply:  # noqa: ARG002
        """As :class:`everfit.serving.protocols.codec.Dialect` promises.

        The table has the columns ``id``, ``version``, and ``prediction`` or one ``prediction.CLASS`` for each class.
        """
        if not request.wish:
            return reply_json(answer)
        predictions = answer.predictions
        names = dict.fromkeys(name for each in predictions if isinstance(each, dict) for name in each)
        columns: dict[str, list[Any]] = {
            "id": answer.ids,
            "version": answer.versions or [answer.version] * len(answer.ids),
        }
        for name in names:
            columns[f"prediction.{name}"] = [each.get(name) for each in predictions if isinstance(each, dict)]
        if not names:
            columns["prediction"] = predictions
        return Reply(200, write_table(columns), _STREAM)

    def refuse(self, refusal: Refusal) -> Reply:
        """As :class:`everfit.serving.protocols.codec.Dialect` promises."""
        return say(refusal)
