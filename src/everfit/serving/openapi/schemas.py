"""What a served model takes and gives, as JSON Schema: made from the types that decode it, so that both are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from everfit.core.class_names import LONGEST_CLASS
from everfit.core.instants import YEARS
from everfit.serving.feedback import Told
from everfit.serving.inference.data_plane import Answer
from everfit.serving.openapi.operation import Json, reference
from everfit.serving.protocols.json import LONGEST_ID

if TYPE_CHECKING:
    from everfit.artifact.schema import RequestField
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.inference.variants import Lineup
    from everfit.serving.protocols.json import RequestDecoder

CHANCE: Json = {"type": "number", "minimum": 0, "maximum": 1}
_NUMBER: Json = {"type": "number", "format": "double"}


def components(prefix: str, *kinds: Any) -> dict[str, Json]:
    """The schemas of types, named ``prefix.Type``.

    What msgspec does not write is added: that a number must fit a double.
    """
    _, found = msgspec.json.schema_components(kinds, ref_template=f"#/components/schemas/{prefix}.{{name}}")
    return {f"{prefix}.{name}": _exact(schema) for name, schema in found.items()}


def request_schemas(name: str, decoder: RequestDecoder) -> dict[str, Json]:
    """``MODEL.Row`` and ``MODEL.Request``.

    Args:
        name: The model's.
        decoder: Of its requests.
    """
    found = components(name, decoder.envelope)
    row, request = found[f"{name}.Row"], found.pop(f"{name}.Envelope")
    row["description"] = f"What {name} is asked about. Every field must be given; what is not known is null."
    for field in decoder.fields:
        if field.example is not None:
            row["properties"][field.name]["examples"] = [field.example]
        if field.name == decoder.event_time:
            row["properties"][field.name]["description"] = f"{YEARS.capitalize()}."
    request["title"] = "Request"
    request["description"] = "One row or several. An answer is recorded under its id; ids are one for each row."
    inputs, ids = request["properties"]["inputs"]["anyOf"][0], request["properties"]["ids"]["anyOf"][0]
    inputs["maxItems"] = decoder.max_rows
    ids |= {"minItems": 1, "maxItems": decoder.max_rows, "uniqueItems": True}
    request["not"] = {
        "required": ["id", "ids"],
        "properties": {"id": {"type": "string"}, "ids": {"type": "array"}},
    }
    return {**found, f"{name}.Request": request}


def prediction_schema(lineup: Lineup) -> Json:
    """One row's answer, by whichever version."""
    kinds: list[Json] = []
    for model in lineup.versions.values():
        kind = _prediction(model)
        if kind not in kinds:
            kinds.append(kind)
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def answer_schemas(lineup: Lineup) -> dict[str, Json]:
    """``MODEL.Answer``."""
    name = lineup.champion.name
    (answer,) = components(name, Answer).values()
    views = sorted({each.view for model in lineup.versions.values() for each in model.schema.lookups})
    properties = answer["properties"]
    properties["predictions"] = {"type": "array", "items": prediction_schema(lineup), "minItems": 1}
    properties["ids"]["description"] = "Under which each answer is recorded; report its outcome by it."
    properties["version"]["description"] = "Who answered the first row."
    properties["versions"]["description"] = "Who answered each row, where they were not all answered by one."
    properties["missing"] = {
        "type": "object",
        "description": "Views that held no usable row, with the places of the rows that lacked them.",
        "properties": {view: {"type": "array", "items": {"type": "integer", "minimum": 0}} for view in views},
        "additionalProperties": False,
    }
    answer["additionalProperties"] = False
    answer["description"] = "One prediction and one id for each row."
    return {f"{name}.Answer": answer}


def outcome_schemas(model: ServedModel, *, max_rows: int) -> dict[str, Json]:
    """``MODEL.Outcome`` and ``MODEL.Outcomes``."""
    (outcome,) = components(model.name, Told).values()
    outcome |= {"title": "Outcome", "description": "What became of a prediction; null takes an earlier report back."}
    outcome["properties"]["value"] = _outcome_value(model)
    one = reference(f"{model.name}.Outcome")
    several = {
        "type": "object",
        "properties": {"outcomes": {"type": "array", "items": one, "minItems": 1, "maxItems": max_rows}},
        "required": ["outcomes"],
        "additionalProperties": False,
    }
    return {f"{model.name}.Outcome": outcome, f"{model.name}.Outcomes": {"anyOf": [one, several]}}


def value_schema(row: Json, field: RequestField) -> Json:
    """A request field's values, without examples."""
    return {"anyOf": row["properties"][field.name]["anyOf"]}


def id_schema() -> Json:
    """An id that a caller may choose, or leave out."""
    return {"anyOf": [{"type": "string", "maxLength": LONGEST_ID}, {"type": "null"}]}


def _prediction(model: ServedModel) -> Json:
    if model.schema.task == "regression":
        return {"type": "number", "description": "The predicted number."}
    if model.schema.task == "binary":
        return CHANCE | {"description": f"The chance of {model.class_names[-1]}."}
    return {
        "type": "object",
        "description": "Each class's chance.",
        "properties": dict.fromkeys(model.class_names, CHANCE),
        "required": list(model.class_names),
        "additionalProperties": False,
    }


def _outcome_value(model: ServedModel) -> Json:
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
    return {"anyOf": [known, new], "description": "A class that training has not seen is recorded, and learnt next."}


def _spellings(classes: Sequence[str | int | bool]) -> list[int | bool]:
    """Classes that are no text, as values; of two truth values, 1 and true say the same, and so do 0 and false."""
    values = [label for label in classes if not isinstance(label, str)]
    if set(values) != {0, 1}:
        return values
    return [spelling for value in values for spelling in (bool(value), int(value))]


def _exact(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_exact(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        return _NUMBER | schema
    return {name: _exact(each) for name, each in schema.items()}
