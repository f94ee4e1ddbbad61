"""MLflow's scoring protocol, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from everfit.serving.openapi.operation import MLFLOW, Json, content, operation, reference
from everfit.serving.openapi.schemas import prediction_schema, value_schema

if TYPE_CHECKING:
    from everfit.serving.inference.variants import Lineup

TAG = "MLflow"
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_NULL: Json = {"type": "null"}


def invocations_paths(lineups: Mapping[str, Lineup]) -> dict[str, Json]:
    """``/invocations``, and what its platforms look at."""
    ready: Json = {"type": "object", "properties": {"ready": {"const": True}}, "required": ["ready"]}
    paths: dict[str, Json] = {
        path: {
            method: operation(
                f"{path[1:]}_{method}",
                "Whether the service answers",
                tag=TAG,
                form=MLFLOW,
                answer=content(ready),
                refusals=(503,),
            )
            for method in ("get", "post")
        }
        for path in ("/ping", "/health")
    }
    version = operation("version", "Everfit's version", tag=TAG, answer=content({"type": "string"}, "text/plain"))
    return {"/invocations": {"post": _invoke(lineups)}, **paths, "/version": {"get": version}}


def invocations_schemas(lineup: Lineup, row: Json) -> dict[str, Json]:
    """``MODEL.Invocation``: one of four forms, the others absent or null.

    Args:
        lineup: Who answers.
        row: The schema of one of its rows.
    """
    name, fields, most = lineup.champion.name, lineup.decoder.fields, lineup.decoder.max_rows
    values = {field.name: value_schema(row, field) for field in fields}
    rows = {"type": "array", "items": reference(f"{name}.Row"), "minItems": 1, "maxItems": most}
    columns = {
        "type": "object",
        "description": "Columns of one length.",
        "properties": {
            each: {"anyOf": [{"type": "array", "items": value, "minItems": 1, "maxItems": most}, value]}
            for each, value in values.items()
        },
        "required": list(values),
        "additionalProperties": False,
    }
    width = {"minItems": len(values), "maxItems": len(values)}
    split = {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"enum": list(values)}, "uniqueItems": True, **width},
            "data": {"type": "array", "items": {"type": "array", **width}, "minItems": 1, "maxItems": most},
        },
        "required": ["columns", "data"],
    }
    forms: dict[str, Json] = {
        "dataframe_split": split,
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {"anyOf": [rows, columns]},
    }
    empty = {"anyOf": [{"type": "object", "maxProperties": 0}, _NULL]}
    bodies = [
        {
            "type": "object",
            "properties": {each: schema if each == form else _NULL for each in _FORMS} | {"params": empty},
            "required": [form],
            "additionalProperties": False,
        }
        for form, schema in forms.items()
    ]
    return {f"{name}.Invocation": {"anyOf": bodies}}


def _invoke(lineups: Mapping[str, Lineup]) -> Json:
    model = {
        "name": "model",
        "in": "query",
        "required": len(lineups) != 1,
        "description": "Which model is asked; need not be said where only one is served.",
        "schema": {"type": "string", "enum": list(lineups)},
    }
    predictions = {"type": "array", "items": {"anyOf": [prediction_schema(each) for each in lineups.values()]}}
    answer = {"type": "object", "properties": {"predictions": predictions}, "required": ["predictions"]}
    body: Json = {"anyOf": [reference(f"{name}.Invocation") for name in lineups]}
    first = next(iter(lineups.values())).champion
    example = {"instances": first.describe().example["inputs"]}
    return operation(
        "invocations",
        "Ask for predictions in MLflow's form",
        tag=TAG,
        description="CSV is a header and rows; an empty cell is a missing value. "
        "The body may be compressed with gzip or deflate.",
        form=MLFLOW,
        parameters=(model,),
        body=content(body, example=example) | content({"type": "string"}, "text/csv"),
        answer=content(answer),
        refusals=(404, 413, 415, 422, 500, 503),
    )
