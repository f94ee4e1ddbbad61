"""``/openapi.json`` and ``/docs``: what may be asked of the models that are served right now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import everfit
from everfit.serving.http.responses import Reply, encode_json
from everfit.serving.openapi.docs_page import address_page, write_docs_page
from everfit.serving.openapi.inference import TAG as INFERENCE
from everfit.serving.openapi.inference import inference_paths, inference_schemas, listed_schemas
from everfit.serving.openapi.invocations import TAG as MLFLOW
from everfit.serving.openapi.invocations import invocations_paths, invocations_schemas
from everfit.serving.openapi.model import (
    FEATURES,
    OUTCOMES,
    PREDICT,
    model_paths,
    model_schemas,
    shared_schemas,
    view_paths,
)
from everfit.serving.openapi.operation import REFUSALS, Json, content, operation

if TYPE_CHECKING:
    from everfit.serving.feedback import Intake, Signature
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Plane
    from everfit.serving.inference.variants import Lineup

_SERVICE = "Service"
_TAGS: Mapping[str, str] = {
    PREDICT: "The service's own form.",
    OUTCOMES: "What became of predictions.",
    FEATURES: "Newer rows of the views that models look up.",
    INFERENCE: "Version 2, with Triton's extensions for binary tensors, statistics, configurations and the repository.",
    MLFLOW: "MLflow's scoring protocol.",
    _SERVICE: "Health, metrics and this description.",
}
_RULES = (
    "Every request field must be given; a value that is not known is null. Instants need a time zone and lie in the "
    "years 1 to 9999 in UTC. No path takes another method than the ones named here (and HEAD where there is GET): "
    "that is answered by 405 with `Allow`, and a path that is not named by 404."
)
_HTML = b"text/html; charset=utf-8"
_CAREFUL = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)


class OpenApi:
    """The document and its page, made again only when another lineup or another view is there.

    Args:
        plane: Who is served.
        intake: Which views' rows can be pushed.
        max_rows: Most rows in one request.
        may_control: Whether callers may load and unload models.
    """

    def __init__(self, plane: Plane, intake: Intake, *, max_rows: int, may_control: bool) -> None:
        self._plane = plane
        self._intake = intake
        self._max_rows = max_rows
        self._may_control = may_control
        self._made_of: tuple[Mapping[str, Lineup], Mapping[str, Signature]] | None = None
        self._document = self._page = b""

    def document(self) -> Reply:
        """The OpenAPI 3.1 document.

        Raises:
            StoreError: If the online store does not say which views it has.
        """
        self._follow()
        return Reply(200, self._document)

    def page(self, http: HttpRequest) -> Reply:
        """The same to read; the examples ask the address that this was asked at.

        Raises:
            StoreError: As :meth:`document`.
        """
        self._follow()
        page = address_page(self._page, http.header(b"host"))
        return Reply(200, page, _HTML, _CAREFUL)

    def _follow(self) -> None:
        lineups, views = self._plane.lineups, self._intake.signatures()
        if self._made_of is not None and self._made_of[0] is lineups and self._made_of[1] == views:
            return
        document = self._describe(lineups, views)
        self._document, self._page = encode_json(document), write_docs_page(document, lineups)
        self._made_of = lineups, views

    def _describe(self, lineups: Mapping[str, Lineup], views: Mapping[str, Signature]) -> Json:
        paths: Json = {}
        schemas: Json = {**REFUSALS, **shared_schemas(), **listed_schemas()}
        for name, lineup in lineups.items():
            own = model_schemas(lineup)
            row = own[f"{name}.Row"]
            schemas |= own | inference_schemas(lineup, row) | invocations_schemas(lineup, row)
            paths |= model_paths(lineup)
        for view, signature in views.items():
            more, kinds = view_paths(view, signature.row_type(), max_rows=self._max_rows)
            paths |= more
            schemas |= kinds
        paths |= inference_paths(lineups, may_control=self._may_control)
        if lineups:
            paths |= invocations_paths(lineups)
        return {
            "openapi": "3.1.0",
            "info": {"title": "Everfit", "version": everfit.__version__, "description": _RULES},
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": told} for name, told in _TAGS.items()],
            "paths": paths | _service_paths(),
            "components": {"schemas": schemas},
        }


def _service_paths() -> Json:
    live: Json = {"type": "object", "properties": {"live": {"const": True}}, "required": ["live"]}
    ready: Json = {"type": "object", "properties": {"ready": {"const": True}}, "required": ["ready"]}
    text: Json = {"type": "string"}
    pages = {
        "/": ("index", "Which models are served", content({"type": "object"})),
        "/health/live": ("live", "Whether the service runs", content(live)),
        "/health/ready": ("ready", "Whether everything that is deployed can be asked", content(ready)),
        "/metrics": ("metrics", "For Prometheus", content(text, "text/plain")),
        "/openapi.json": ("openapi", "This document", content({"type": "object"})),
        "/docs": ("docs", "This document, to read", content(text, "text/html")),
    }
    return {
        path: {"get": operation(id, summary, tag=_SERVICE, answer=answer)}
        for path, (id, summary, answer) in pages.items()  # noqa: A001 - as OpenAPI says
    }
