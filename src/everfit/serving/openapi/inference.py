"""The Open Inference Protocol's operations, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from everfit.serving.openapi.operation import OPEN_INFERENCE, Json, content, operation, reference
from everfit.serving.openapi.schemas import components, id_schema, value_schema
from everfit.serving.protocols.open_inference.codec import OUTPUT
from everfit.serving.protocols.open_inference.repository import Listed
from everfit.serving.protocols.open_inference.tensor import FIELD_DATATYPES, datatypes
from everfit.serving.protocols.tabular_request import KINDS

if TYPE_CHECKING:
    from everfit.artifact.schema import RequestField
    from everfit.serving.inference.variants import Lineup

TAG = "Open Inference Protocol"
_BYTES: Json = {"type": "string", "format": "binary"}
_OBJECT: Json = {"type": ["object", "null"]}
_HEAD_SIZE: Json = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Of a binary body: how many bytes of JSON come before the tensors' bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def inference_paths(lineups: Mapping[str, Lineup], *, may_control: bool) -> dict[str, Json]:
    """Everything below ``/v2``."""
    paths = {
        "/v2": {"get": _page("v2", "The service, and the extensions that it knows", {"type": "object"})},
        "/v2/health/live": {"get": _page("v2_live", "Whether the service runs", _flag("live"))},
        "/v2/health/ready": {"get": _page("v2_ready", "Whether the service answers", _flag("ready"), 503)},
        "/v2/models/stats": {"get": _page("v2_stats", "What was asked of every model", _STATS)},
        "/v2/repository/index": {"post": _index()},
    }
    for verb in ("load", "unload"):
        paths[f"/v2/repository/models/{{model}}/{verb}"] = {"post": _control(verb, may_control=may_control)}
    for name, lineup in lineups.items():
        versions = list(map(str, sorted(lineup.versions)))
        version = {
            "name": "version",
            "in": "path",
            "required": True,
            "description": "One that is loaded.",
            "schema": {"type": "string", "enum": versions},
        }
        paths |= _model_paths(name, "v2", f"/v2/models/{name}", ())
        paths |= _model_paths(name, "v2_version", f"/v2/models/{name}/versions/{{version}}", (version,))
    return paths


def inference_schemas(lineup: Lineup, row: Json) -> dict[str, Json]:
    """``MODEL.InferRequest`` and ``MODEL.InferResponse``.

    Args:
        lineup: Who answers.
        row: The schema of one of its rows.
    """
    name, fields, most = lineup.champion.name, lineup.decoder.fields, lineup.decoder.max_rows
    tensors = [_tensor(field, value_schema(row, field), most) for field in fields]
    wanted = {
        "type": "object",
        "properties": {"name": {"const": OUTPUT}, "parameters": _OBJECT},
        "required": ["name"],
    }
    request = {
        "type": "object",
        "description": "One tensor for each request field, all of one length. It may hold more; that says nothing.",
        "properties": {
            "id": id_schema(),
            "inputs": {
                "type": "array", "items": {"anyOf": tensors}, "minItems": len(fields), "maxItems": len(fields),
            },
            "outputs": {"anyOf": [{"type": "array", "items": wanted}, {"type": "null"}]},
            "parameters": _OBJECT,
        },
        "required": ["inputs"],
    }  # fmt: skip
    return {f"{name}.InferRequest": request, f"{name}.InferResponse": _response(name)}


def listed_schemas() -> dict[str, Json]:
    """What the repository's index holds."""
    return components("everfit", Listed)


def _model_paths(name: str, prefix: str, path: str, parameters: Sequence[Json]) -> dict[str, Json]:
    pages = {
        "": ("describe", "The tensors that it takes and gives", {"type": "object"}),
        "/ready": ("ready", "Whether it answers", _flag("ready")),
        "/config": ("config", "Its configuration, in Triton's form", {"type": "object"}),
        "/stats": ("stats", "What was asked of it", _STATS),
    }
    paths: dict[str, Json] = {
        path + end: {
            "get": _page(f"{prefix}_{verb}_{name}", f"{name}: {summary}", schema, 404, 503, parameters=parameters)
        }
        for end, (verb, summary, schema) in pages.items()
    }
    answer = content(reference(f"{name}.InferResponse")) | content(_BYTES, "application/octet-stream")
    paths[f"{path}/infer"] = {
        "post": operation(
            f"{prefix}_infer_{name}",
            f"{name}: ask for predictions",
            tag=TAG,
            description="Tensors' values stand in `data`, or as bytes behind the JSON (the binary tensor extension): "
            "then `parameters.binary_data_size` says how many, and the header how long the JSON is. "
            "`parameters.binary_data_output` asks for bytes. The body may be compressed with gzip or deflate.",
            form=OPEN_INFERENCE,
            parameters=(*parameters, _HEAD_SIZE),
            body=content(reference(f"{name}.InferRequest")) | content(_BYTES, "application/octet-stream"),
            answer=answer,
            refusals=(404, 413, 415, 422, 500, 503),
        )
    }
    return paths


def _page(id: str, summary: str, schema: Json, *refusals: int, parameters: Sequence[Json] = ()) -> Json:  # noqa: A002
    return operation(
        id, summary, tag=TAG, form=OPEN_INFERENCE, answer=content(schema), refusals=refusals, parameters=parameters
    )


def _index() -> Json:
    asked = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    described = operation(
        "v2_repository_index",
        "What is deployed, and whether it is loaded",
        tag=TAG,
        form=OPEN_INFERENCE,
        body=content(asked, example={"ready": True}),
        answer=content({"type": "array", "items": reference("everfit.Listed")}),
        refusals=(422, 503),
    )
    described["requestBody"]["required"] = False
    return described


def _control(verb: str, *, may_control: bool) -> Json:
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "description": "One that was deployed.",
        "schema": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"},
    }
    allowed = {"type": "object", "properties": {"unload_dependents": {}}, "additionalProperties": False}
    body = {"type": "object", "properties": {"parameters": {"anyOf": [allowed, {"type": "null"}]}}}
    described = operation(
        f"v2_{verb}_model",
        f"{verb.capitalize()} a model",
        tag=TAG,
        form=OPEN_INFERENCE,
        parameters=(model,),
        body=content(body),
        answer=content({"type": "object", "maxProperties": 0}),
        refusals=(404, 422, 503) if may_control else (403,),
        succeeds=may_control,
    )
    described["requestBody"]["required"] = False
    return described


def _tensor(field: RequestField, value: Json, most: int) -> Json:
    if field.type == "boolean":
        value = {"enum": [True, False, 1, 0, None]}
    rows = {"type": "integer", "minimum": 1, "maximum": most}
    return {
        "type": "object",
        "properties": {
            "name": {"const": field.name},
            "shape": {
                "anyOf": [
                    {"type": "array", "items": rows, "minItems": 1, "maxItems": 1},
                    {"type": "array", "prefixItems": [rows, {"const": 1}], "minItems": 2, "maxItems": 2},
                ]
            },
            "datatype": {
                "enum": [each for kind in KINDS[field.type] for each in datatypes(kind)],
                "default": FIELD_DATATYPES[field.type],
            },
            "parameters": _OBJECT,
            "data": {"type": "array", "items": {"anyOf": [value, {"type": "array", "items": value}]}},
        },
        "required": ["name", "shape", "datatype", "data"],
    }


def _response(name: str) -> Json:
    output = {
        "type": "object",
        "properties": {
            "name": {"const": OUTPUT},
            "datatype": {"const": "FP64"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "data": {"type": "array", "items": {"type": ["number", "null"]}},
        },
        "required": ["name", "datatype", "shape", "data"],
    }
    properties: dict[str, Any] = {
        "model_name": {"const": name},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": output, "minItems": 1, "maxItems": 1},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _flag(name: str) -> Json:
    return {"type": "object", "properties": {name: {"const": True}}, "required": [name]}


_STATS: Json = {
    "type": "object",
    "properties": {"model_stats": {"type": "array", "items": {"type": "object"}}},
    "required": ["model_stats"],
}
