"""Rows of pandas and Polars data frames, recognised by their methods: neither library is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from everfit.core.errors import InvalidRequestError

Rows = Any
"""Mappings by name, one row or several; a pandas or Polars data frame, or a row of a pandas frame."""


def single_row(rows: Rows) -> Mapping[str, Any] | None:
    """Return the row if this is one: a mapping, or a row of a pandas frame (a Series by column name)."""
    if isinstance(rows, Mapping):
        return rows
    if hasattr(rows, "to_dict") and hasattr(rows, "index") and not hasattr(rows, "columns"):
        return _named(rows.to_dict())
    return None


def rows_of(rows: Rows, place: str) -> Iterable[Mapping[str, Any]]:
    """Return the rows of a data frame, or of any iterable of mappings.

    Raises:
        InvalidRequestError: If it holds none.
    """
    if hasattr(rows, "collect_schema") and hasattr(rows, "collect"):
        raise _no_rows(place, rows, "Collect it first: frame.collect().")
    if hasattr(rows, "to_dicts"):
        return list(rows.to_dicts())
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        return [_named(row) for row in rows.to_dict("records")]
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise _no_rows(place, rows, "")
    found = [single_row(row) for row in rows]
    for number, row in enumerate(found):
        if row is None:
            raise InvalidRequestError("must be a row: a mapping of values by name", value=f"item {number}", place=place)
    return [row for row in found if row is not None]


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _no_rows(place: str, rows: object, remedy: str) -> InvalidRequestError:
    rule = "must be rows: a list of mappings, or a pandas or Polars data frame"
    return InvalidRequestError(rule, value=type(rows).__name__, place=place, remedy=remedy)
