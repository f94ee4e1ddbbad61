"""Endpoints of MLflow's scoring protocol: ``/invocations``, and the paths that hosting platforms poll."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import everfit
from everfit.core.errors import InvalidRequestError
from everfit.serving.http.responses import JSON, ErrorInfo, Response, json_response
from everfit.serving.protocols.mlflow.codec import CSV, CsvInvocations, JsonInvocations

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.inference.prediction_handler import PredictionHandler
    from everfit.serving.protocols.codec import Codec

_JSON = JsonInvocations()
_CODECS: Mapping[bytes, Codec] = {JSON: _JSON, CSV: CsvInvocations()}


class MlflowEndpoints:
    """Handlers of the routes of MLflow's protocol; errors are raised."""

    def __init__(self, data_plane: DataPlane, predictions: PredictionHandler) -> None:
        self._data_plane = data_plane
        self._predictions = predictions

    def invoke(self, http: HttpRequest) -> Response | Awaitable[Response]:
        """Return predictions for rows in one of MLflow's forms."""
        media_type, _, options = http.header(b"content-type").lower().partition(b";")
        codec = _CODECS.get(media_type.strip())
        is_utf8 = b"charset" not in options or b"utf-8" in options or b"utf8" in options
        if codec is None or not is_utf8:
            return _JSON.write_error(ErrorInfo(415, "the content-type must be application/json or text/csv in UTF-8"))
        return self._predictions.handle(codec, http, self._model(http.query))

    def ready(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return that every deployed model can predict."""
        self._data_plane.require_ready()
        return json_response({"ready": True})

    def version(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return Everfit's version."""
        return Response(200, everfit.__version__.encode(), b"text/plain; charset=utf-8")

    def _model(self, query: bytes) -> str:
        try:
            named = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=20).get("model")
        except ValueError as problem:
            raise InvalidRequestError("must be a query such as ?model=NAME", place="query") from problem
        if named:
            if len(named) > 1:
                raise InvalidRequestError("must be named once", value=named[:5], place="model")
            return named[0]
        served = list(self._data_plane.models)
        if not served:
            self._data_plane.require_ready()
        if len(served) != 1:
            raise InvalidRequestError(
                f"must be named, as in /invocations?model={served[0]}: served are {', '.join(served)}", place="model"
            )
        return served[0]
