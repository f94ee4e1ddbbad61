"""What a version could not answer: written by the prediction service, read by the journal."""

from __future__ import annotations

from msgspec import Struct

from everfit.store.prediction_log import Route

FAILURES = "failures"
"""The log's folder within the journal's."""


class Failures(Struct, frozen=True, kw_only=True, array_like=True):
    """Rows of one request that made a version raise."""

    model: str
    version: int
    route: Route
    """By which they were due to it."""
    recorded_us: int
    """The moment of asking, in microseconds since 1970."""
    ids: list[str]
    problem: str
    """What it raised on the first of them."""
