"""Input schema of a packaged model: the request's fields, look-ups, computations, and the matrix's columns.

It is data, not code: the prediction service needs nothing else to turn a request into a row of numbers.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from everfit.core.evidence import FrameKind, Task
from everfit.definitions import column_types

FieldType = column_types.FieldType
"""Types of request fields, as the table of column types has them."""


class RequestField(Struct, frozen=True, kw_only=True):
    """A field that a caller sends. Every field may be null; a key or event time that is null finds nothing."""

    name: str
    type: FieldType
    example: str | int | float | bool | None = None
    """JSON form of a value seen in training."""


class ViewLookup(Struct, frozen=True, kw_only=True):
    """Features to fetch from the online store."""

    view: str
    keys: tuple[str, ...]
    """Request fields, in the order of the view's entities."""
    features: tuple[str, ...]
    """Names within the view; the column is ``view.feature``."""
    ttl_us: int
    """A value older than this at the event time counts as missing; microseconds."""
    definition: str = ""
    """Digest of the view's definition in training, whose generation of the rows is read; empty in packages of before
    there were generations, which read the current one."""


class Computation(Struct, frozen=True, kw_only=True):
    """On-demand features.

    ``expressions`` holds, for every output, a Polars expression over the request's fields as JSON; where the function
    could not be written so, it is empty and ``code`` names the package's signed file. Either way the request's fields
    have the types of :data:`FieldType`: String, Int64, Float64, Boolean, ``Datetime("us", "UTC")`` and Date.
    """

    name: str
    outputs: tuple[str, ...]
    """Names within the transformation; the column is ``name.output``."""
    expressions: tuple[str, ...] = ()
    lists: dict[str, tuple[str | int | float | bool | None, ...]] = {}
    """Literal lists within the expressions by their digest, since Polars writes them as Arrow bytes."""
    code: str = ""


ColumnKind = Literal["number", "boolean", "category", "integer", "text", "instant", "date"]
"""The last four occur in data frames only: a matrix holds integers as ``number`` and text as ``category``."""


class Column(Struct, frozen=True, kw_only=True):
    """A column of the matrix, or of the data frame, that the estimator sees.

    In a matrix ``number`` and ``boolean`` become their float64; ``category`` becomes the index of its value in
    ``categories``. Missing, and a category that was not seen in training, become NaN. For data frames see
    :mod:`everfit.artifact.model_frame`.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str | int, ...] = ()
    fill: str | None = None
    """Stands for a missing value in a data frame, where training had none and the estimator takes none."""


class InputSchema(Struct, frozen=True, kw_only=True):
    """Everything between a request and the estimator's matrix, and the meaning of its predictions."""

    model: str
    task: Task
    request: tuple[RequestField, ...]
    event_time: str
    """The request field with the time of the event; empty when the service's clock does."""
    lookups: tuple[ViewLookup, ...]
    computations: tuple[Computation, ...]
    columns: tuple[Column, ...]
    classes: tuple[str | int | bool, ...] = ()
    """The label's values in the order of the probabilities, the positive one last for binary; empty for regression."""
    frame: FrameKind = "matrix"
    """The type of the estimator's inputs."""

    @property
    def positive(self) -> str | int | bool | None:
        """The class whose probability a binary model predicts; ``None`` for other tasks."""
        return self.classes[-1] if self.task == "binary" else None

    @property
    def names(self) -> tuple[str, ...]:
        """The matrix's columns."""
        return tuple(column.name for column in self.columns)

    @property
    def categorical(self) -> tuple[int, ...]:
        """The positions of the columns that hold categories or text."""
        return tuple(place for place, column in enumerate(self.columns) if column.kind in {"category", "text"})


def request_meaning(schema: InputSchema) -> dict[str, str]:
    """Describe every request field: its type, and whether it is the event time, a key of views, a category.

    Two versions with equal descriptions can serve the same callers, whatever they call their views.
    """
    kinds = {column.name: column.kind for column in schema.columns}
    meaning = {}
    for field in schema.request:
        parts: list[str] = [field.type]
        if field.name == schema.event_time:
            parts.append("the event time")
        if any(field.name in lookup.keys for lookup in schema.lookups):
            parts.append("a key")
        if kinds.get(field.name) == "category" and field.type != "string":
            parts.append("a category")
        meaning[field.name] = ", ".join(parts)
    return meaning
