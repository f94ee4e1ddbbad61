"""``/openapi.json`` and ``/docs``: the table of routes, the static template, and the schemas of the served models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import everfit
from everfit.serving.http.responses import JSON, Response, encode_json
from everfit.serving.http.routes import MLFLOW, OPEN_INFERENCE
from everfit.serving.openapi.docs_page import address_page, write_docs_page
from everfit.serving.openapi.schemas import model_values, pushed_row
from everfit.serving.openapi.template import Json, fill, load_template

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.http.routes import Route
    from everfit.serving.inference.variants import Variants
    from everfit.serving.push_targets import RowColumns

_HTML = b"text/html; charset=utf-8"
_PAGE_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_OF_ANY_REQUEST = (400, 408, 413, 414, 415, 417, 431, 501, 503)
"""Errors of the connection, in the form of Everfit's own protocol."""
_ERRORS = {OPEN_INFERENCE: "OpenInferenceRefusal", MLFLOW: "MlflowRefusal"}
"""Schemas of errors by tag; of the others it is ``Refusal``."""


class OpenApi:
    """The document and its page, made again only when a deployment or a view changes.

    Its methods raise :class:`StoreError` if the online store cannot be read.
    """

    def __init__(self, routes: Sequence[Route], app: App) -> None:
        self._routes = routes
        self._app = app
        self._made_of: tuple[Mapping[str, Variants], Mapping[str, RowColumns]] | None = None
        self._document = self._page = b""

    def document(self) -> Response:
        """Return the OpenAPI 3.1 document."""
        self._update()
        return Response(200, self._document)

    def page(self, http: HttpRequest) -> Response:
        """Return the document as a page; its examples use the address of the request."""
        self._update()
        return Response(200, address_page(self._page, http.header(b"host")), _HTML, _PAGE_HEADERS)

    def _update(self) -> None:
        models, views = self._app.data_plane.models, self._app.feature_push.columns()
        if self._made_of is not None and self._made_of[0] is models and self._made_of[1] == views:
            return
        document = self._describe(models, views)
        self._document, self._page = encode_json(document), write_docs_page(document, models)
        self._made_of = models, views

    def _describe(self, models: Mapping[str, Variants], views: Mapping[str, RowColumns]) -> Json:
        template = load_template()
        schemas: Json = dict(template["schemas"])
        # The values of the template's placeholders: for each model, for each view, and of the service.
        of_models = [model_values(variants) for variants in models.values()]
        of_views = [
            {"view": view, "max_rows": self._app.settings.max_rows, "row": pushed_row(columns)}
            for view, columns in views.items()
        ]
        of_service: Json = {
            "models": list(models),
            "is_required": len(models) != 1,
            "invocations": [{"$ref": f"#/components/schemas/{name}.Invocation"} for name in models],
            "predictions": [values["prediction"] for values in of_models],
            "invocations_example": {"instances": of_models[0]["example"]["inputs"]} if of_models else {},
        }
        for part, scopes in (("model_schemas", of_models), ("view_schemas", of_views)):
            for values in scopes:
                schemas |= fill(template[part], values)
        paths: Json = {}
        for route in self._routes:
            scopes = of_views if "{view}" in route.operation else [of_service]
            scopes = of_models if "{model}" in route.operation else scopes
            for values in scopes if models or route.tag != MLFLOW else ():
                paths.setdefault(fill(route.path, values), {})[route.method.lower()] = self._operation(route, values)
        document: Json = fill(template["document"], {"version": everfit.__version__})
        return document | {"paths": paths, "components": {"schemas": schemas}}

    def _operation(self, route: Route, values: Json) -> Json:
        template = load_template()
        static = template["operations"].get(route.operation.replace("v2_version_", "v2_"), {})
        described: Json = {"operationId": route.operation, "summary": route.summary, "tags": [route.tag]}
        described |= {name: static[name] for name in ("description", "parameters") if name in static}
        if "{version}" in route.path:
            described["parameters"] = [template["version_parameter"], *static.get("parameters", ())]
        takes, gives, errors, status, _ = route.bodies
        if takes:
            content = _content(takes, static["body"])
            if "example" in static:
                content[JSON.decode()]["example"] = static["example"]
            described["requestBody"] = {"required": not static.get("optional_body"), "content": content}
        responses = {str(status): {"description": "The response.", "content": _content(gives, static.get("answer"))}}
        if 403 in errors:  # either the operation is allowed, or it always gives this error
            may_control = self._app.settings.repository_control
            errors = tuple(set(errors) - {403}) if may_control else (403,)
            responses = responses if may_control else {}
        for status in sorted({*_OF_ANY_REQUEST, *errors}):
            forms = {"Refusal"} if status in _OF_ANY_REQUEST else set()
            forms |= {_ERRORS.get(route.tag, "Refusal")} if status in errors else set()
            responses[str(status)] = _error(status, sorted(forms))
        described["responses"] = responses
        filled: Json = fill(described, values)
        return filled


def _content(media_types: Sequence[bytes], schema: Json | None) -> Json:
    content: Json = {}
    for name in map(bytes.decode, media_types):
        text = {"type": "string"} if name.startswith("text/") else {"type": "string", "format": "binary"}
        content[name] = {"schema": (schema or {"type": "object"}) if name == JSON.decode() else text}
    return content


def _error(status: int, forms: Sequence[str]) -> Json:
    described: Json = {"description": load_template()["errors"][str(status)]}
    if status == 503:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in forms]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return described | {"content": _content([JSON], schema)}
