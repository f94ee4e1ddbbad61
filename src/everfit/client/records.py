"""What a client hands to its caller."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Value = float | dict[str, float] | None
"""The chance of the positive class (binary), the number (regression), or each class's chance by its name (multiclass);
``None`` if the model's answer was no finite number."""


class Prediction(Struct, frozen=True, kw_only=True):
    """The answer for one row."""

    value: Value
    id: str
    """Under which it is on record; outcomes are reported by it."""
    version: int
    """Who answered."""
    missing: tuple[str, ...] = ()
    """The views that held no usable row; their features were null."""


class Pushed(Struct, frozen=True, kw_only=True):
    """What was taken of pushed rows."""

    rows: int
    written: int
    """How many are online now; the others were older than what was there."""


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
    """Where features are looked up."""
    features: tuple[str, ...]
    classes: tuple[str | int | bool, ...]
    """Of a binary task's two, predictions are the chances of the last."""
    positive: str | int | bool | None = None
    """The class whose chance a binary model predicts; ``None`` for other tasks."""
    event_time: str
    """The request field by whose time features are looked up; empty if it is the moment of asking."""
