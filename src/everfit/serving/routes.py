"""The service's routes: one table, from which requests are routed and the OpenAPI document's paths are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from everfit.serving.http.responses import JSON
from everfit.serving.http.routes import MLFLOW, OPEN_INFERENCE, RELEASES, Bodies, Route
from everfit.serving.protocols import everfit as own
from everfit.serving.protocols import mlflow, webhook
from everfit.serving.protocols.arrow.codec import ARROW_FILE, ARROW_STREAM
from everfit.serving.protocols.open_inference import endpoints as v2
from everfit.serving.protocols.open_inference import repository
from everfit.serving.protocols.open_inference.codec import BINARY

_PAGE = Bodies()
_SIGNED = Bodies((b"*/*",), errors=(401, 413, 503), status=202, is_signed=True)
_TEXT, _HTML = Bodies(gives=(b"text/plain",)), Bodies(gives=(b"text/html",))
_READY, _FOUND = Bodies(errors=(503,)), Bodies(errors=(404, 503))
_REPORT = Bodies((JSON,), errors=(404, 413, 415, 422, 500, 503))
_PREDICT = _REPORT._replace(takes=(JSON, ARROW_STREAM, ARROW_FILE), gives=(JSON, ARROW_STREAM))
_INFER = _REPORT._replace(takes=(JSON, BINARY), gives=(JSON, BINARY))
_INVOKE = _REPORT._replace(takes=(JSON, mlflow.CSV))
_INDEX, _CONTROL = Bodies((JSON,), errors=(422, 503)), Bodies((JSON,), errors=(403, 404, 422, 503))


def _v2(
    method: Literal["GET", "POST"], path: str, handler: Callable[..., Any], name: str, summary: str, bodies: Bodies
) -> Route:
    return Route(OPEN_INFERENCE, method, f"/v2{path}", handler, f"v2{name}", summary, bodies)


def _v2_model(path: str, name: str) -> Iterator[Route]:
    """Yield the routes of a model, or of one of its versions."""
    for end, handler, operation, summary in (
        ("", v2.describe, "describe", "return its input and output tensors"),
        ("/ready", v2.model_ready, "ready", "check that it can predict"),
        ("/config", v2.configuration, "config", "return its configuration in Triton's form"),
        ("/stats", v2.statistics, "stats", "return its counters"),
    ):
        yield _v2("GET", path + end, handler, f"{name}_{operation}_{{model}}", f"{{model}}: {summary}", _FOUND)
    yield _v2("POST", f"{path}/infer", v2.infer, f"{name}_infer_{{model}}", "{model}: return predictions", _INFER)


ROUTES: tuple[Route, ...] = (
    Route(
        "Predict", "POST", "/predict/{model}", own.predict, "predict_{model}", "Return predictions of {model}", _PREDICT
    ),
    Route(
        "Predict",
        "GET",
        "/models/{model}",
        own.describe,
        "describe_{model}",
        "Return the fields of {model}, and its version",
        _FOUND,
    ),
    Route(
        "Outcomes",
        "POST",
        "/outcomes/{model}",
        own.report_outcomes,
        "report_outcomes_{model}",
        "Report outcomes of {model}'s predictions",
        _REPORT,
    ),
    Route(
        "Features", "POST", "/features/{view}", own.push_features, "push_{view}", "Push newer rows of {view}", _REPORT
    ),
    Route(
        RELEASES,
        "POST",
        "/releases/look",
        webhook.look,
        "look_for_release",
        "Look at the source repository now, as a signed webhook",
        _SIGNED,
    ),
    _v2("GET", "", v2.describe_service, "", "Return the service's name and extensions", _PAGE),
    _v2("GET", "/health/live", own.live, "_live", "Check that the service runs", _PAGE),
    _v2("GET", "/health/ready", own.ready, "_ready", "Check that the service can predict", _READY),
    _v2("GET", "/models/stats", v2.all_statistics, "_stats", "Return counters of every model", _PAGE),
    *_v2_model("/models/{model}", ""),
    *_v2_model("/models/{model}/versions/{version}", "_version"),
    _v2(
        "POST",
        "/repository/index",
        repository.index,
        "_repository_index",
        "List the deployed versions and their state",
        _INDEX,
    ),
    _v2("POST", "/repository/models/{model}/load", repository.load, "_load_model", "Load a model", _CONTROL),
    _v2("POST", "/repository/models/{model}/unload", repository.unload, "_unload_model", "Unload a model", _CONTROL),
    Route(MLFLOW, "POST", "/invocations", mlflow.invoke, "invocations", "Return predictions in MLflow's form", _INVOKE),
    Route(MLFLOW, "GET", "/ping", own.ready, "ping_get", "Check that the service can predict", _READY),
    Route(MLFLOW, "POST", "/ping", own.ready, "ping_post", "Check that the service can predict", _READY),
    Route(MLFLOW, "GET", "/health", own.ready, "health_get", "Check that the service can predict", _READY),
    Route(MLFLOW, "POST", "/health", own.ready, "health_post", "Check that the service can predict", _READY),
    Route(MLFLOW, "GET", "/version", mlflow.version, "version", "Return Everfit's version", _TEXT),
    Route("Service", "GET", "/", own.index, "index", "List the served models", _PAGE),
    Route("Service", "GET", "/health/live", own.live, "live", "Check that the service runs", _PAGE),
    Route("Service", "GET", "/health/ready", own.ready, "ready", "Check that every deployed model can predict", _PAGE),
    Route("Service", "GET", "/metrics", own.metrics, "metrics", "Return metrics for Prometheus", _TEXT),
    Route("Service", "GET", "/openapi.json", own.openapi, "openapi", "Return this document", _PAGE),
    Route("Service", "GET", "/docs", own.docs, "docs", "Return this document as a page", _HTML),
)
