"""Records of the journal's logs: predictions, failures, outcomes, pushed feature rows and labels of sources.

The prediction service writes them ahead of its response (a write-ahead log), and the journal reads them; labels of
sources are written by monitoring. On disk a record is an array: fields may be added at the end, and never be moved.
Those of which many are alive at once are not tracked by the garbage collector, since they cannot be part of a cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

PREDICTIONS, FAILURES, OUTCOMES, PUSHES, LABELS = "predictions", "failures", "outcomes", "pushes", "labels"
"""The logs' folders within the journal's."""
Route = Literal["champion", "canary", "shadow", "named", "stand_in"]
"""Why a version predicted; ``named``: the request names the version; ``stand_in``: it is the fallback of another one
that failed."""


class PredictionLayout(Struct, frozen=True, kw_only=True, array_like=True, tag=0):
    """Schema of a version's predictions; it precedes them in every segment."""

    number: int
    """Its number in the segment; see :attr:`Predictions.layout`."""
    model: str
    version: int
    digest: str
    task: str
    request: tuple[tuple[str, str], ...]
    """Name and :data:`everfit.artifact.schema.FieldType` of every request field."""
    features: tuple[str, ...]
    """Looked-up columns, then computed ones."""
    classes: tuple[str | int | bool, ...]
    event_time: str
    """The request field that is the event time; empty where it is the time of the request."""


class Predictions(Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag=1):
    """The predictions of one version for one request."""

    layout: int
    route: Route
    recorded_us: int
    """Time of the request, in microseconds since 1970."""
    latency_us: int
    """From the request's arrival to this record."""
    ids: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """The request's values in the order of the layout; dates are ISO text once they were written."""
    features: Sequence[Sequence[Any]]
    """As used, before they were encoded, in the order of the layout."""
    values: Sequence[float | Sequence[float]]
    """Probability of the positive class, or the number; for multiclass one of each class in the layout's order."""


class Failures(Struct, frozen=True, kw_only=True, array_like=True):
    """Rows of one request for which a version raised an exception."""

    model: str
    version: int
    route: Route
    """The route by which the version was to predict them."""
    recorded_us: int
    """Time of the request, in microseconds since 1970."""
    ids: list[str]
    problem: str
    """The exception on the first of them."""


class Outcome(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Reported label of one prediction. A later record of the same id corrects an earlier one."""

    id: str
    value: str | None
    """The class's name, or the number as text that gives it back exactly; ``None`` withdraws the label."""
    known_us: int
    """When it became knowable, in microseconds since 1970."""


class Outcomes(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Outcomes that one request reported."""

    model: str
    recorded_us: int
    outcomes: list[Outcome]


class PushedRows(Struct, frozen=True, kw_only=True, array_like=True):
    """Feature rows of one view that one request pushed, by columns."""

    view: str
    recorded_us: int
    keys: dict[str, list[str | int | None]]
    """Values by the name of the key, in the order of the view's entities; dates are ISO text."""
    event_us: list[int]
    """Event times, in microseconds since 1970."""
    created_us: list[int]
    """Known times, in microseconds since 1970."""
    features: dict[str, list[Any]]
    """Values by the name of the feature, in the view's order."""


class SourceLabels(Struct, frozen=True, kw_only=True, array_like=True):
    """Labels that were found in the source of a model's events, by columns."""

    model: str
    definition: str
    """Digest of the label's definition: see :func:`everfit.definitions.label_digest.label_digest`."""
    recorded_us: int
    ids: list[str]
    values: list[str]
    """As text that gives the value back."""
    known_us: list[int]
    """Known times, in microseconds since 1970."""
