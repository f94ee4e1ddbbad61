"""Features that are computed from the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everfit.definitions.names import require_name

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class OnDemand:
    """Features that are computed from request fields only.

    Args:
        name: Name of the transformation; its features are called ``name.feature``.
        function: Computes a frame of features from a frame of request fields; see :func:`on_demand`.
        description: A description for readers.
    """

    name: str
    function: Callable[[pl.DataFrame], pl.DataFrame] = field(compare=False)
    description: str = ""

    def __post_init__(self) -> None:
        require_name(self.name, of="an on-demand transformation")


def on_demand(function: Callable[[pl.DataFrame], pl.DataFrame]) -> OnDemand:
    """Define on-demand features by a decorated function.

    The function takes a Polars ``DataFrame`` with the model's ``request`` fields and returns a frame of features with
    the same number of rows. If it consists of ``with_columns`` and ``select`` over expressions, it is stored in the
    package as data and computed without a data frame in the service; any other function is stored as signed code.

    Args:
        function: The function; its name is the name of the transformation.
    """
    return OnDemand(function.__name__, function=function, description=(function.__doc__ or "").strip())
