"""Values that the client returns."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Value = float | dict[str, float] | None
"""The positive class's probability (binary), the number (regression), or each class's probability by its name
(multiclass); ``None`` if the prediction was not finite."""


class Prediction(Struct, frozen=True, kw_only=True):
    """Prediction for one row."""

    value: Value
    id: str
    """Id of the record; outcomes are reported by it."""
    version: int
    """The version that predicted."""
    missing: tuple[str, ...] = ()
    """The views that held no usable row; their features were null."""


class IncompletePush(Struct, frozen=True, kw_only=True):
    """A definition of a view whose rows did not take what was pushed, or not all of it."""

    definition: str
    """Its digest."""
    readers: tuple[str, ...]
    """The versions that read its rows, as ``model version N``."""
    reason: str


class PushResult(Struct, frozen=True, kw_only=True):
    """Number of pushed rows."""

    rows: int
    written: int
    """Number of rows that are online now; the others were older than the stored ones."""
    partial: tuple[IncompletePush, ...] = ()
    """Empty if versions with one definition of the view are served, or the rows have the features of all of them."""


class Field(Struct, frozen=True, kw_only=True):
    """A field that a request must give; its value may be null."""

    name: str
    type: str
    """``string``, ``integer``, ``number``, ``boolean``, ``instant`` or ``date``."""
    example: Any = None


class ModelDescription(Struct, frozen=True, kw_only=True):
    """A model as it is served."""

    name: str
    version: int
    """The champion's."""
    task: str
    """``binary``, ``multiclass`` or ``regression``."""
    request: tuple[Field, ...]
    views: tuple[str, ...]
    """The feature views that are looked up."""
    features: tuple[str, ...]
    classes: tuple[str | int | bool, ...]
    """Of a binary task's two, predictions are the probabilities of the last."""
    positive: str | int | bool | None = None
    """The class whose probability a binary model predicts; ``None`` for other tasks."""
    event_time: str
    """The request field by whose time features are looked up; empty if that is the time of the request."""
