"""Columns of plain Python values, from any format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "integer", "number", "boolean", "instant", "date", "null"]


class Values(NamedTuple):
    """A column."""

    kind: Kind
    """Kind of its values; NaN is missing in ``number``, and ``null`` holds missing values only."""
    values: Sequence[Any]
    """``None`` where there is none."""
    type_name: str
    """Name of the type in its format."""
