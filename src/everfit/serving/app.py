"""The prediction service as a function from HTTP requests to responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from everfit.serving.http.content_encoding import decode_body
from everfit.serving.http.responses import ErrorInfo, Response, error_info
from everfit.serving.http.routes import Router, WireProtocol
from everfit.serving.inference.prediction_handler import Admission, PredictionHandler
from everfit.serving.openapi.document import OpenApi
from everfit.serving.protocols.everfit import EverfitEndpoints
from everfit.serving.protocols.json import JsonCodec
from everfit.serving.protocols.mlflow.codec import JsonInvocations
from everfit.serving.protocols.mlflow.endpoints import MlflowEndpoints
from everfit.serving.protocols.open_inference.codec import OpenInferenceCodec
from everfit.serving.protocols.open_inference.endpoints import OpenInferenceEndpoints
from everfit.serving.routes import ROUTES

if TYPE_CHECKING:
    from everfit.core.settings import ServingSettings
    from everfit.serving.feature_push import FeaturePush
    from everfit.serving.feedback import Feedback
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.http.routes import Route
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.protocols.codec import Codec
    from everfit.serving.protocols.open_inference.repository import ModelRepository

_ROUTER = Router(ROUTES)
_PATHS = sorted({route.path for route in ROUTES if not route.path.startswith("/v2/")})
"""Paths that a response of status 404 names."""
_CODECS: Mapping[WireProtocol, Codec] = {
    "everfit": JsonCodec(),
    "open_inference": OpenInferenceCodec(),
    "mlflow": JsonInvocations(),
}
"""Write the errors of a protocol's routes."""


class App:
    """The service behind HTTP. All its methods belong to the event loop's thread.

    Args:
        data_plane: Predicts.
        prediction_logger: Records predictions and reports.
        feedback: Takes reported outcomes.
        feature_push: Takes feature rows.
        repository: The deployment, as the Open Inference Protocol sees it.
        metrics: Returns the response of ``/metrics``.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        *,
        prediction_logger: PredictionLogger,
        feedback: Feedback,
        feature_push: FeaturePush,
        repository: ModelRepository,
        metrics: Callable[[], Response],
        settings: ServingSettings,
    ) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._admission = Admission(settings.max_waiting)
        self.predictions = PredictionHandler(
            data_plane,
            admission=self._admission,
            timeout_s=settings.answer_seconds,
            syncs=prediction_logger.durability == "sync",
        )
        may_control = settings.repository_control
        self._endpoints: Mapping[WireProtocol, object] = {
            "everfit": EverfitEndpoints(
                data_plane,
                self.predictions,
                admission=self._admission,
                prediction_logger=prediction_logger,
                feedback=feedback,
                feature_push=feature_push,
                openapi=OpenApi(ROUTES, data_plane, feature_push, settings=settings),
                metrics=metrics,
            ),
            "open_inference": OpenInferenceEndpoints(
                data_plane, self.predictions, repository=repository, may_control=may_control
            ),
            "mlflow": MlflowEndpoints(data_plane, self.predictions),
        }

    def handle(self, http: HttpRequest) -> Response | Awaitable[Response]:
        """Return the response to a request, or an awaitable of it; never raise."""
        match = _ROUTER.match(http.path)
        if match is None:
            return _not_found(http.path)
        route = match.routes.get(http.method)
        if route is None:
            first = next(iter(match.routes.values()))
            rule = f"the method must be {match.allowed}, but got {http.method!r}"
            return _CODECS[first.protocol].write_error(
                ErrorInfo(405, rule, headers=((b"allow", match.allowed.encode()),))
            )
        if http.encoding:
            return self._guard(self._decompress(route, http, match.parameters), _CODECS[route.protocol])
        return self._call(route, http, match.parameters)

    def close(self) -> None:
        """Respond to the requests that wait, then end the threads."""
        self.predictions.close()

    def _call(self, route: Route, http: HttpRequest, parameters: tuple[str, ...]) -> Response | Awaitable[Response]:
        codec = _CODECS[route.protocol]
        try:
            response = route.handler(self._endpoints[route.protocol], http, *parameters)
        except Exception as error:  # noqa: BLE001 - whatever a project's code raises: logged, never shown
            return codec.write_error(error_info(error))
        return response if isinstance(response, Response) else self._guard(response, codec)

    async def _guard(self, awaitable: Awaitable[Response], codec: Codec) -> Response:
        try:
            return await awaitable
        except Exception as error:  # noqa: BLE001 - as in _call
            return codec.write_error(error_info(error))

    async def _decompress(self, route: Route, http: HttpRequest, parameters: Any) -> Response:
        with self._admission:
            body = await asyncio.to_thread(decode_body, http, self._max_body_bytes)
        response = self._call(route, http._replace(body=body, encoding=b""), parameters)
        return response if isinstance(response, Response) else await response


def _not_found(path: str) -> Response:
    if path.startswith("/v2"):
        known = "/v2, /v2/health/live, /v2/health/ready, /v2/models/{model}, /v2/repository/index"
        info = ErrorInfo(404, f"there is nothing at {path[:200]!r}; begin at {known}")
        return _CODECS["open_inference"].write_error(info)
    info = ErrorInfo(404, f"there is nothing at {path[:200]!r}; there is {', '.join(_PATHS)}", {"paths": _PATHS})
    return _CODECS["everfit"].write_error(info)
