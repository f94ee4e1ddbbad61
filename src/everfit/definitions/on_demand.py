"""Features computed from the request itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everfit.definitions.names import require_name

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class OnDemand:
    """Features that need nothing but the request's fields.

    Args:
        name: Its name; features are addressed as ``name.feature``.
        function: From the request's columns to as many rows of features; see :func:`on_demand`.
        description: A line for readers.
    """

    name: str
    function: Callable[[pl.DataFrame], pl.DataFrame] = field(compare=False)
    description: str = ""

    def __post_init__(self) -> None:
        require_name(self.name, of="an on-demand transformation")


def on_demand(function: Callable[[pl.DataFrame], pl.DataFrame]) -> OnDemand:
    """Make on-demand features out of a function on the request's columns.

    It takes a Polars ``DataFrame`` with the model's ``request`` fields and returns a frame of features, row for row.
    A function that is a single ``select`` or a chain of ``with_columns`` and ``select`` over expressions is stored in
    the package as data and answered without a frame; any other is stored as signed code.

    Args:
        function: Takes the frame and returns the frame of features, of the same height.
    """
    return OnDemand(function.__name__, function=function, description=(function.__doc__ or "").strip())
