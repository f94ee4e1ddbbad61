"""Feature rows that callers pushed: durable here before the online store has them, read by the journal."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

PUSHES = "pushes"
"""The log's folder within the journal's."""


class Pushed(Struct, frozen=True, kw_only=True, array_like=True):
    """Rows of one view, by columns."""

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
