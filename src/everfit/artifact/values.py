"""Columns of plain Python values, whatever format they came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "integer", "number", "boolean", "instant", "date", "null"]


class Values(NamedTuple):
    """A column."""

    kind: Kind
    """What its type holds; of ``number`` NaN is a missing value, ``null`` holds nothing else."""
    values: Sequence[Any]
    """``None`` where there is none."""
    type_name: str
    """What its format calls the type."""
