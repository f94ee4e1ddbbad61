"""The service's own operations on one model, and on one view of features, for the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everfit.serving.feedback import Accepted, Reported
from everfit.serving.inference.served_model import ModelDescription
from everfit.serving.openapi.operation import Json, content, operation, reference
from everfit.serving.openapi.schemas import answer_schemas, components, outcome_schemas, request_schemas

if TYPE_CHECKING:
    from everfit.serving.inference.variants import Lineup

PREDICT, OUTCOMES, FEATURES = "Predict", "Outcomes", "Features"
ARROW_STREAM, ARROW_FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
_BYTES: Json = {"type": "string", "format": "binary"}


def shared_schemas() -> dict[str, Json]:
    """Schemas that are the same for every model."""
    return components("everfit", ModelDescription, Reported, Accepted)


def model_schemas(lineup: Lineup) -> dict[str, Json]:
    """The schemas of one model."""
    return {
        **request_schemas(lineup.champion.name, lineup.decoder),
        **answer_schemas(lineup),
        **outcome_schemas(lineup.champion, max_rows=lineup.decoder.max_rows),
    }


def model_paths(lineup: Lineup) -> dict[str, Json]:
    """``/predict/…``, ``/outcomes/…`` and ``/models/…`` of one model."""
    name = lineup.champion.name
    return {
        f"/predict/{name}": {"post": _predict(lineup)},
        f"/outcomes/{name}": {"post": _outcomes(name, lineup)},
        f"/models/{name}": {
            "get": operation(
                f"describe_{name}",
                f"What {name} takes, and which version answers",
                tag=PREDICT,
                answer=content(reference("everfit.ModelDescription")),
                refusals=(404, 503),
            )
        },
    }


def view_paths(view: str, row: Any, *, max_rows: int) -> tuple[dict[str, Json], dict[str, Json]]:
    """Paths and schemas of a view's rows.

    Args:
        view: The view's name.
        row: The type that decodes a row.
        max_rows: Most rows in one request.
    """
    schemas = components(f"features.{view}", row)
    (name,) = schemas
    rows = {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": reference(name), "minItems": 1, "maxItems": max_rows}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    push = operation(
        f"push_{view}",
        f"Bring newer rows of {view}",
        tag=FEATURES,
        description="The rows are on the disk and online before the answer is sent. `created`, when a row became "
        "known, is now unless it is given.",
        body=content(rows),
        answer=content(reference("everfit.Accepted")),
        refusals=(404, 413, 415, 422, 500, 503),
    )
    return {f"/features/{view}": {"post": push}}, schemas


def _predict(lineup: Lineup) -> Json:
    model = lineup.champion
    request = content(reference(f"{model.name}.Request"), example=model.describe().example)
    return operation(
        f"predict_{model.name}",
        f"Ask {model.name} for predictions",
        tag=PREDICT,
        description="An Arrow table of the same fields may be sent instead of JSON, uncompressed. It is answered by "
        "JSON, or by a table for who accepts one. `ids` must be as many as there are rows.",
        body=request | content(_BYTES, ARROW_STREAM) | content(_BYTES, ARROW_FILE),
        answer=content(reference(f"{model.name}.Answer")) | content(_BYTES, ARROW_STREAM),
        refusals=(404, 413, 415, 422, 500, 503),
    )


def _outcomes(name: str, lineup: Lineup) -> Json:
    classes = lineup.champion.schema.classes
    example = {"outcomes": [{"id": "order-17", "value": classes[-1] if classes else 1.5}]}
    return operation(
        f"report_outcomes_{name}",
        f"Report what became of {name}'s predictions",
        tag=OUTCOMES,
        description="They are on the disk before the answer is sent. A later report of an id corrects an earlier "
        "one, a null takes it back. `known_at` is now unless it is given.",
        body=content(reference(f"{name}.Outcomes"), example=example),
        answer=content(reference("everfit.Reported")),
        refusals=(404, 413, 415, 422, 500, 503),
    )
