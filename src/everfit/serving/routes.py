"""The service's routes: one table, from which requests are routed and the OpenAPI document's paths are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from everfit.serving.http.responses import JSON
from everfit.serving.http.routes import MLFLOW, OPEN_INFERENCE, Bodies, Route
from everfit.serving.protocols.arrow.codec import ARROW_FILE, ARROW_STREAM
from everfit.serving.protocols.everfit import EverfitEndpoints as Own
from everfit.serving.protocols.mlflow.codec import CSV
from everfit.serving.protocols.mlflow.endpoints import MlflowEndpoints as Mlflow
from everfit.serving.protocols.open_inference.codec import BINARY
from everfit.serving.protocols.open_inference.endpoints import OpenInferenceEndpoints as OpenInference

_PAGE = Bodies()
_TEXT, _HTML = Bodies(gives=(b"text/plain",)), Bodies(gives=(b"text/html",))
_READY, _FOUND = Bodies(errors=(503,)), Bodies(errors=(404, 503))
_REPORT = Bodies((JSON,), errors=(404, 413, 415, 422, 500, 503))
_PREDICT = _REPORT._replace(takes=(JSON, ARROW_STREAM, ARROW_FILE), gives=(JSON, ARROW_STREAM))
_INFER = _REPORT._replace(takes=(JSON, BINARY), gives=(JSON, BINARY))
_INVOKE = _REPORT._replace(takes=(JSON, CSV))
_INDEX, _CONTROL = Bodies((JSON,), errors=(422, 503)), Bodies((JSON,), errors=(403, 404, 422, 503))


def _v2(
    method: Literal["GET", "POST"], path: str, handler: Callable[..., Any], name: str, summary: str, bodies: Bodies
) -> Route:
    return Route(OPEN_INFERENCE, method, f"/v2{path}", handler, f"v2{name}", summary, bodies)


def _v2_model(path: str, name: str) -> tuple[Route, ...]:
    """Return the routes of a model, or of one of its versions."""
    return (
        _v2(
            "GET",
            path,
            OpenInference.describe,
            f"{name}_describe_{{model}}",
            "{model}: return its input and output tensors",
            _FOUND,
        ),
        _v2(
            "GET",
            f"{path}/ready",
            OpenInference.model_ready,
            f"{name}_ready_{{model}}",
            "{model}: check that it can predict",
            _FOUND,
        ),
        _v2(
            "GET",
            f"{path}/config",
            OpenInference.configuration,
            f"{name}_config_{{model}}",
            "{model}: return its configuration in Triton's form",
            _FOUND,
        ),
        _v2(
            "GET",
            f"{path}/stats",
            OpenInference.statistics,
            f"{name}_stats_{{model}}",
            "{model}: return its counters",
            _FOUND,
        ),
        _v2(
            "POST",
            f"{path}/infer",
            OpenInference.infer,
            f"{name}_infer_{{model}}",
            "{model}: return predictions",
            _INFER,
        ),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        "Predict", "POST", "/predict/{model}", Own.predict, "predict_{model}", "Return predictions of {model}", _PREDICT
    ),
    Route(
        "Predict",
        "GET",
        "/models/{model}",
        Own.describe,
        "describe_{model}",
        "Return the fields of {model}, and its version",
        _FOUND,
    ),
    Route(
        "Outcomes",
        "POST",
        "/outcomes/{model}",
        Own.report_outcomes,
        "report_outcomes_{model}",
        "Report outcomes of {model}'s predictions",
        _REPORT,
    ),
    Route(
        "Features", "POST", "/features/{view}", Own.push_features, "push_{view}", "Push newer rows of {view}", _REPORT
    ),
    _v2("GET", "", OpenInference.describe_service, "", "Return the service's name and extensions", _PAGE),
    _v2("GET", "/health/live", OpenInference.live, "_live", "Check that the service runs", _PAGE),
    _v2("GET", "/health/ready", OpenInference.ready, "_ready", "Check that the service can predict", _READY),
    _v2("GET", "/models/stats", OpenInference.all_statistics, "_stats", "Return counters of every model", _PAGE),
    *_v2_model("/models/{model}", ""),
    *_v2_model("/models/{model}/versions/{version}", "_version"),
    _v2(
        "POST",
        "/repository/index",
        OpenInference.repository_index,
        "_repository_index",
        "List the deployed versions and their state",
        _INDEX,
    ),
    _v2("POST", "/repository/models/{model}/load", OpenInference.load, "_load_model", "Load a model", _CONTROL),
    _v2("POST", "/repository/models/{model}/unload", OpenInference.unload, "_unload_model", "Unload a model", _CONTROL),
    Route(MLFLOW, "POST", "/invocations", Mlflow.invoke, "invocations", "Return predictions in MLflow's form", _INVOKE),
    Route(MLFLOW, "GET", "/ping", Mlflow.ready, "ping_get", "Check that the service can predict", _READY),
    Route(MLFLOW, "POST", "/ping", Mlflow.ready, "ping_post", "Check that the service can predict", _READY),
    Route(MLFLOW, "GET", "/health", Mlflow.ready, "health_get", "Check that the service can predict", _READY),
    Route(MLFLOW, "POST", "/health", Mlflow.ready, "health_post", "Check that the service can predict", _READY),
    Route(MLFLOW, "GET", "/version", Mlflow.version, "version", "Return Everfit's version", _TEXT),
    Route("Service", "GET", "/", Own.index, "index", "List the served models", _PAGE),
    Route("Service", "GET", "/health/live", Own.live, "live", "Check that the service runs", _PAGE),
    Route("Service", "GET", "/health/ready", Own.ready, "ready", "Check that every deployed model can predict", _PAGE),
    Route("Service", "GET", "/metrics", Own.metrics, "metrics", "Return metrics for Prometheus", _TEXT),
    Route("Service", "GET", "/openapi.json", Own.openapi, "openapi", "Return this document", _PAGE),
    Route("Service", "GET", "/docs", Own.docs, "docs", "Return this document as a page", _HTML),
)
