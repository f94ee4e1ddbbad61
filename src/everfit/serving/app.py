"""The prediction service as a function from HTTP requests to responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from everfit.serving.http.content_encoding import decode_body
from everfit.serving.http.responses import ErrorInfo, Response, error_info
from everfit.serving.http.routes import MLFLOW, OPEN_INFERENCE, RELEASES, Router
from everfit.serving.inference.prediction_handler import Admission, PredictionHandler
from everfit.serving.openapi.document import OpenApi
from everfit.serving.protocols.json import JSON_ROWS
from everfit.serving.protocols.mlflow import JSON_INVOCATIONS
from everfit.serving.protocols.open_inference.codec import TENSORS
from everfit.serving.routes import ROUTES

if TYPE_CHECKING:
    from everfit.core.clock import Clock
    from everfit.core.settings import ServingSettings
    from everfit.serving.feature_push import FeaturePush
    from everfit.serving.feedback import Feedback
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.http.routes import Route
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.prediction_logger import PredictionLogger
    from everfit.serving.protocols.codec import Codec
    from everfit.serving.release_webhook import ReleaseWebhook
    from everfit.store.deployment import DeploymentRecord

_WITHOUT_WEBHOOK = tuple(route for route in ROUTES if route.tag != RELEASES)
_CODECS: Mapping[str, Codec] = {OPEN_INFERENCE: TENSORS, MLFLOW: JSON_INVOCATIONS}
"""Write the errors of routes by tag; those of the others are in Everfit's own form."""


class App:
    """The service behind HTTP, and its parts for the handlers. All its methods belong to the event loop's thread."""

    def __init__(
        self,
        data_plane: DataPlane,
        *,
        prediction_logger: PredictionLogger,
        feedback: Feedback,
        feature_push: FeaturePush,
        deployment: DeploymentRecord,
        clock: Clock,
        metrics: Callable[[], Response],
        settings: ServingSettings,
        webhook: ReleaseWebhook,
    ) -> None:
        self.data_plane = data_plane
        self.prediction_logger = prediction_logger
        self.feedback = feedback
        self.feature_push = feature_push
        self.deployment = deployment
        self.clock = clock
        self.metrics = metrics
        self.settings = settings
        self.webhook = webhook
        self.admission = Admission(settings.max_waiting)
        self.predictions = PredictionHandler(
            data_plane,
            admission=self.admission,
            timeout_s=settings.answer_seconds,
            syncs=prediction_logger.durability == "sync",
        )
        self._routes: Sequence[Route] = ()
        self.update_routes()

    def update_routes(self) -> None:
        """Add the webhook's route once there is a secret, and take it away with the last one."""
        routes = ROUTES if self.webhook.has_secret() else _WITHOUT_WEBHOOK
        if routes is not self._routes:
            self._routes, self._router, self.openapi = routes, Router(routes), OpenApi(routes, self)

    def handle(self, http: HttpRequest) -> Response | Awaitable[Response]:
        """Return the response to a request, or an awaitable of it; never raise."""
        match = self._router.match(http.path)
        if match is None:
            return _not_found(http.path, self._routes)
        route = match.routes.get(http.method)
        if route is None:
            first = next(iter(match.routes.values()))
            rule = f"the method must be {match.allowed}, but got {http.method!r}"
            info = ErrorInfo(405, rule, headers=((b"allow", match.allowed.encode()),))
            return _CODECS.get(first.tag, JSON_ROWS).write_error(info)
        if http.encoding and not route.bodies.is_signed:
            return self._guard(self._decompress(route, http, match.parameters), _CODECS.get(route.tag, JSON_ROWS))
        return self._call(route, http, match.parameters)

    def _call(self, route: Route, http: HttpRequest, parameters: tuple[str, ...]) -> Response | Awaitable[Response]:
        codec = _CODECS.get(route.tag, JSON_ROWS)
        try:
            response = route.handler(self, http, *parameters)
        except Exception as error:  # noqa: BLE001 - whatever a project's code raises: logged, never shown
            return codec.write_error(error_info(error))
        return response if isinstance(response, Response) else self._guard(response, codec)

    async def _guard(self, awaitable: Awaitable[Response], codec: Codec) -> Response:
        try:
            return await awaitable
        except Exception as error:  # noqa: BLE001 - as in _call
            return codec.write_error(error_info(error))

    async def _decompress(self, route: Route, http: HttpRequest, parameters: tuple[str, ...]) -> Response:
        with self.admission:
            body = await asyncio.to_thread(decode_body, http, self.settings.max_body_bytes)
        response = self._call(route, http._replace(body=body, encoding=b""), parameters)
        return response if isinstance(response, Response) else await response


def _not_found(path: str, routes: Sequence[Route]) -> Response:
    if path.startswith("/v2"):
        known = "/v2, /v2/health/live, /v2/health/ready, /v2/models/{model}, /v2/repository/index"
        info = ErrorInfo(404, f"there is nothing at {path[:200]!r}; begin at {known}")
        return TENSORS.write_error(info)
    paths = sorted({route.path for route in routes if not route.path.startswith("/v2/")})
    info = ErrorInfo(404, f"there is nothing at {path[:200]!r}; there is {', '.join(paths)}", {"paths": paths})
    return JSON_ROWS.write_error(info)
