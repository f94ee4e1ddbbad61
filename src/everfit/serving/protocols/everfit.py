"""Endpoints of Everfit's own protocol: predictions, outcomes, features, health and the service's description."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from everfit.serving.http.responses import Response, json_response
from everfit.serving.protocols.arrow.codec import ARROW_FILE, ARROW_STREAM, ArrowCodec
from everfit.serving.protocols.json import JsonCodec

if TYPE_CHECKING:
    from everfit.serving.feature_push import FeaturePush
    from everfit.serving.feedback import Feedback
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.inference.prediction_handler import Admission, PredictionHandler
    from everfit.serving.openapi.document import OpenApi
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.protocols.codec import Codec

_ARROW = ArrowCodec()
_JSON = JsonCodec()


class EverfitEndpoints:
    """Handlers of the routes of protocol ``everfit``; errors are raised."""

    def __init__(
        self,
        data_plane: DataPlane,
        predictions: PredictionHandler,
        *,
        admission: Admission,
        prediction_logger: PredictionLogger,
        feedback: Feedback,
        feature_push: FeaturePush,
        openapi: OpenApi,
        metrics: Callable[[], Response],
    ) -> None:
        self._data_plane = data_plane
        self._predictions = predictions
        self._admission = admission
        self._prediction_logger = prediction_logger
        self._feedback = feedback
        self._feature_push = feature_push
        self._openapi = openapi
        self._metrics = metrics

    def predict(self, http: HttpRequest, model: str) -> Response | Awaitable[Response]:
        """Return predictions for rows in JSON or Arrow."""
        is_arrow = http.header(b"content-type").lower().startswith((ARROW_STREAM, ARROW_FILE))
        codec: Codec = _ARROW if is_arrow else _JSON
        return self._predictions.handle(codec, http, model)

    async def report_outcomes(self, http: HttpRequest, model: str) -> Response:
        """Record outcomes; they are on the disk before the response is sent."""
        taken = self._feedback.report(self._data_plane.variants(model), http.body)
        await self._prediction_logger.on_disk()
        counters = self._predictions.counters_of(model)
        counters.outcomes += taken.outcomes
        counters.new_class += taken.new_class
        return json_response(taken)

    async def push_features(self, http: HttpRequest, view: str) -> Response:
        """Write feature rows to the disk and to the online store."""
        with self._admission:
            return json_response(await asyncio.to_thread(self._feature_push.push, view, http.body))

    def describe(self, http: HttpRequest, model: str) -> Response:  # noqa: ARG002
        """Return the description of a model."""
        return json_response(self._data_plane.variants(model).champion.describe())

    def index(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return the models that are served."""
        served = self._data_plane.models.items()
        models = [{"name": name, "version": variants.champion.version} for name, variants in served]
        return json_response({"service": "everfit", "models": models})

    def live(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return that the service runs."""
        return json_response({"live": True})

    def ready(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return that every deployed model can predict."""
        self._data_plane.require_ready()
        return json_response({"ready": True})

    def metrics(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return the metrics in Prometheus's text format."""
        return self._metrics()

    def openapi(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return the OpenAPI document."""
        return self._openapi.document()

    def docs(self, http: HttpRequest) -> Response:
        """Return the OpenAPI document as a page."""
        return self._openapi.page(http)
