"""One operation of an OpenAPI document: what it takes, and every status that it can answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

OWN, OPEN_INFERENCE, MLFLOW = "Refusal", "OpenInferenceRefusal", "MlflowRefusal"
"""How a protocol says no; names of :data:`REFUSALS`."""
REFUSALS: Mapping[str, Json] = {
    OWN: {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string", "description": "What must be, what was found, and what helps."},
                    "field": {"type": "string", "description": "Where, such as inputs[0].distance."},
                    "value": {"description": "What was found there."},
                    "expected": {"type": "string"},
                    "paths": {"type": "array", "items": {"type": "string"}, "description": "What there is."},
                    "id": {"type": "string", "format": "uuid", "description": "The incident, as the log names it."},
                },
                "required": ["message"],
            }
        },
        "required": ["error"],
    },
    OPEN_INFERENCE: {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
    MLFLOW: {
        "type": "object",
        "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["error_code", "message"],
    },
}
_OF_ANY_REQUEST = (400, 408, 413, 414, 415, 417, 431, 501, 503)
"""The connection says these, in the service's own form, before it knows what is asked."""
_WHY: Mapping[int, str] = {
    400: "The request is not HTTP/1.1.",
    403: "Callers may not load and unload models: `[serving] repository_control` is off.",
    404: "That model, version or view is not served.",
    408: "The request did not arrive in time.",
    413: "The body is larger, or has more rows, than is accepted.",
    414: "The path and query are longer than is accepted.",
    415: "The body has another content type or encoding than is read.",
    417: "The only expectation that is met is `100-continue`.",
    422: "The body is not what this operation takes; the message names the field and what it must be.",
    431: "The headers are larger than is accepted.",
    500: "The service failed; its log says why, under the incident that the message names.",
    501: "The only transfer coding that is read is `chunked`.",
    503: "Overloaded, not ready, or a store cannot be used; ask again in a moment.",
}


def reference(name: str) -> Json:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema: Json, media_type: str = "application/json", *, example: Any = None) -> Json:
    """A body of one media type."""
    return {media_type: {"schema": schema} | ({} if example is None else {"example": example})}


def operation(
    id: str,  # noqa: A002 - what OpenAPI calls it
    summary: str,
    *,
    tag: str,
    answer: Json,
    form: str = OWN,
    refusals: Sequence[int] = (),
    body: Json | None = None,
    parameters: Sequence[Json] = (),
    description: str = "",
    succeeds: bool = True,
) -> Json:
    """An operation.

    Args:
        id: Its name for generated clients.
        summary: One line.
        tag: The group that it stands in.
        answer: The content of its 200.
        form: How it refuses.
        refusals: The statuses that it refuses with itself; those that any request may meet need not be named.
        body: The content of what it takes; ``None`` if it reads none.
        parameters: In the path, query and headers.
        description: What the summary leaves open.
        succeeds: Whether it can, as the service is set.
    """
    described: Json = {"operationId": id, "summary": summary, "tags": [tag]}
    if description:
        described["description"] = description
    if parameters:
        described["parameters"] = list(parameters)
    if body is not None:
        described["requestBody"] = {"required": True, "content": body}
    responses = {"200": {"description": "The answer.", "content": answer}} if succeeds else {}
    for status in sorted({*_OF_ANY_REQUEST, *refusals}):
        forms = {OWN} if status in _OF_ANY_REQUEST else set()
        forms |= {form} if status in refusals else set()
        responses[str(status)] = _refusal(status, [reference(name) for name in sorted(forms)])
    return described | {"responses": responses}


def _refusal(status: int, schemas: list[Json]) -> Json:
    described: Json = {"description": _WHY[status]}
    if status == 503:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described | {"content": content(schemas[0] if len(schemas) == 1 else {"anyOf": schemas})}
