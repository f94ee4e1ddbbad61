"""What became of predictions, as callers report it: written by the prediction service, read by the journal."""

from __future__ import annotations

from msgspec import Struct

OUTCOMES = "outcomes"
"""The log's folder within the journal's."""


class Outcome(Struct, frozen=True, kw_only=True, array_like=True):
    """The true label of one prediction. A later record of the same id corrects an earlier one."""

    id: str
    value: str | None
    """The class's name, or the number as text that gives it back exactly; ``None`` takes back what was reported."""
    known_us: int
    """When it became knowable, in microseconds since 1970."""


class Outcomes(Struct, frozen=True, kw_only=True, array_like=True):
    """What one request reported."""

    model: str
    recorded_us: int
    outcomes: list[Outcome]
