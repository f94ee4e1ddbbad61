"""Handlers of Everfit's own protocol: predictions, outcomes, features, health and the service's description."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from everfit.serving.http.responses import Response, json_response
from everfit.serving.protocols.arrow.codec import ARROW_FILE, ARROW_STREAM, ARROW_TABLE
from everfit.serving.protocols.json import JSON_ROWS

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest


def predict(app: App, http: HttpRequest, model: str) -> Response | Awaitable[Response]:
    """Return predictions for rows in JSON or Arrow."""
    is_arrow = http.header(b"content-type").lower().startswith((ARROW_STREAM, ARROW_FILE))
    return app.predictions.handle(ARROW_TABLE if is_arrow else JSON_ROWS, http, model)


async def report_outcomes(app: App, http: HttpRequest, model: str) -> Response:
    """Record outcomes; they are on the disk before the response is sent."""
    taken = app.feedback.report(app.data_plane.variants(model), http.body)
    await app.prediction_logger.on_disk()
    counters = app.predictions.counters_of(model)
    counters.outcomes += taken.outcomes
    counters.new_class += taken.new_class
    return json_response(taken)


async def push_features(app: App, http: HttpRequest, view: str) -> Response:
    """Write feature rows to the disk and to the online store."""
    with app.admission:
        return json_response(await asyncio.to_thread(app.feature_push.push, view, http.body))


def describe(app: App, _: HttpRequest, model: str) -> Response:
    """Return the description of a model."""
    return json_response(app.data_plane.variants(model).champion.describe())


def index(app: App, _: HttpRequest) -> Response:
    """Return the models that are served."""
    served = app.data_plane.models.items()
    models = [{"name": name, "version": variants.champion.version} for name, variants in served]
    return json_response({"service": "everfit", "models": models})


def live(_app: App, _: HttpRequest) -> Response:
    """Return that the service runs; in every protocol."""
    return json_response({"live": True})


def ready(app: App, _: HttpRequest) -> Response:
    """Return that every deployed model can predict; in every protocol."""
    app.data_plane.require_ready()
    return json_response({"ready": True})


def metrics(app: App, _: HttpRequest) -> Response:
    """Return the metrics in Prometheus's text format."""
    return app.metrics()


def openapi(app: App, _: HttpRequest) -> Response:
    """Return the OpenAPI document."""
    return app.openapi.document()


def docs(app: App, http: HttpRequest) -> Response:
    """Return the OpenAPI document as a page."""
    return app.openapi.page(http)
