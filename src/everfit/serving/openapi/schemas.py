"""JSON Schemas of a served model, made from the types that decode its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from everfit.artifact.schema import RequestField
from everfit.core.class_names import LONGEST_CLASS
from everfit.core.instants import YEARS
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.inference.variants import Variants
from everfit.serving.openapi.template import Json, fill, load_template
from everfit.serving.protocols.json import RequestDecoder
from everfit.serving.protocols.open_inference.tensor import FIELD_DATATYPES, datatypes
from everfit.serving.protocols.tabular_request import KINDS
from everfit.serving.push_targets import RowColumns

_PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}
_NUMBER: Json = {"type": "number", "format": "double"}


def model_values(variants: Variants) -> Json:
    """Return the values of the template's placeholders for one model."""
    champion, decoder = variants.champion, variants.decoder
    row = request_row(champion.name, decoder)
    values = {field.name: {"anyOf": row["properties"][field.name]["anyOf"]} for field in decoder.fields}
    most, classes = decoder.max_rows, champion.schema.classes
    views = sorted({lookup.view for model in variants.versions.values() for lookup in model.schema.lookups})
    return {
        "model": champion.name,
        "versions": list(map(str, sorted(variants.versions))),
        "max_rows": most,
        "row": row,
        "names": list(values),
        "width": len(values),
        "columns": {
            name: {"anyOf": [{"type": "array", "items": value, "minItems": 1, "maxItems": most}, value]}
            for name, value in values.items()
        },
        "tensors": [_tensor(field, values[field.name], most) for field in decoder.fields],
        "prediction": _prediction(list(variants.versions.values())),
        "views": {view: {"type": "array", "items": {"type": "integer", "minimum": 0}} for view in views},
        "outcome": _outcome(champion),
        "example": champion.describe().example,
        "outcome_example": {"outcomes": [{"id": "order-17", "value": classes[-1] if classes else 1.5}]},
    }


def request_row(model: str, decoder: RequestDecoder) -> Json:
    """Return the schema of one row of a model's requests."""
    row = _schemas(decoder.envelope)["Row"]
    row["description"] = f"One row for {model}. Every field must be given; an unknown value is null."
    for field in decoder.fields:
        if field.example is not None:
            row["properties"][field.name]["examples"] = [field.example]
    if decoder.event_time in row["properties"]:
        row["properties"][decoder.event_time]["description"] = f"{YEARS.capitalize()}."
    return row


def pushed_row(columns: RowColumns) -> Json:
    """Return the schema of a pushed row."""
    return _schemas(columns.row_type())["PushedRow"]


def _schemas(kind: Any) -> dict[str, Json]:
    """Return the schemas of a type by name; numbers must fit a double, which msgspec does not write."""
    _, found = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return {name: _exact(schema) for name, schema in found.items()}


def _exact(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_exact(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        return _NUMBER | schema
    return {name: _exact(part) for name, part in schema.items()}


def _tensor(field: RequestField, value: Json, most: int) -> Json:
    values = {
        "field": field.name,
        "rows": {"type": "integer", "minimum": 1, "maximum": most},
        "datatypes": [datatype for kind in KINDS[field.type] for datatype in datatypes(kind)],
        "datatype": FIELD_DATATYPES[field.type],
        "value": {"enum": [True, False, 1, 0, None]} if field.type == "boolean" else value,
    }
    filled: Json = fill(load_template()["tensor"], values)
    return filled


def _prediction(models: Sequence[ServedModel]) -> Json:
    """Return the schema of one row's prediction by any of a model's versions."""
    kinds: list[Json] = []
    for model in models:
        kind: Json = {"type": "number", "description": "The predicted number."}
        if model.schema.task == "binary":
            kind = _PROBABILITY | {"description": f"The probability of {model.class_names[-1]}."}
        elif model.schema.task == "multiclass":
            kind = {
                "type": "object",
                "description": "Each class's probability.",
                "properties": dict.fromkeys(model.class_names, _PROBABILITY),
                "required": list(model.class_names),
                "additionalProperties": False,
            }
        if kind not in kinds:
            kinds.append(kind)
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _outcome(model: ServedModel) -> Json:
    """Return the schema of a reported outcome."""
    if model.schema.task == "regression":
        return {"anyOf": [_NUMBER, {"type": "null"}]}
    classes = model.schema.classes
    known: Json = {"enum": [*_spellings(classes), *model.class_names, None]}
    if model.schema.task == "binary":
        words = f"{' or '.join(model.class_names)}; {model.class_names[-1]} is the positive class."
        return known | {"description": words}
    if any(isinstance(value, bool) for value in classes):
        return known
    new: Json = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    if isinstance(classes[0], str):
        new = {"type": "string", "minLength": 1, "maxLength": LONGEST_CLASS}
    return {
        "anyOf": [known, new],
        "description": "A class that training has not seen is recorded, and part of the next training.",
    }


def _spellings(classes: Sequence[str | int | bool]) -> list[int | bool]:
    """Return the classes that are not text; of two truth values, 1 means the same as true, and 0 as false."""
    values = [label for label in classes if not isinstance(label, str)]
    if set(values) != {0, 1}:
        return values
    return [spelling for value in values for spelling in (bool(value), int(value))]
