"""Rows as users have them, as the values of the service's JSON.

pandas' and Polars' data frames are recognised by their methods: neither library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from everfit.core.errors import InvalidRequestError, TimestampError

Rows = Any
"""Mappings by name, one row or several; a pandas or Polars data frame, or a row of a pandas frame."""
_PLAIN = frozenset((str, int, bool, type(None)))


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a request's body. Raises :class:`InvalidRequestError` if a value has no form in JSON."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as problem:
        raise InvalidRequestError(f"must be text, numbers, booleans, instants and dates: {problem}") from problem


def single_row(rows: Rows) -> Mapping[str, Any] | None:
    """Return the row if this is one: a mapping, or a row of a pandas frame (a Series by column name)."""
    if isinstance(rows, Mapping):
        return rows
    if hasattr(rows, "to_dict") and hasattr(rows, "index") and not hasattr(rows, "columns"):
        return _named(rows.to_dict())
    return None


def plain_rows(rows: Rows, name: str) -> list[dict[str, Any]]:
    """Return rows of :func:`plain_row`, whose places are ``name[0]``, ``name[1]``, ….

    Raises :class:`InvalidRequestError` if they are neither a data frame nor an iterable of mappings.
    """
    return [plain_row(row, f"{name}[{number}]") for number, row in enumerate(_rows_of(rows, name))]


def plain_row(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return a row as JSON values; NaN, which frames have for a missing number, is null.

    Raises :class:`TimestampError` if an instant has no time zone, and :class:`InvalidRequestError` if a number is
    infinite.
    """
    return {name: value if type(value) in _PLAIN else _plain(value, f"{place}.{name}") for name, value in row.items()}


def plain_outcomes(rows: Rows) -> list[dict[str, Any]]:
    """Return outcomes as :func:`plain_rows`. Raises :class:`InvalidRequestError` also if a value is NaN: null takes an
    outcome back.
    """
    outcomes = []
    for number, row in enumerate(_rows_of(rows, "outcomes")):
        place = f"outcomes[{number}]"
        plain = plain_row(row, place)
        if plain.get("value") is None and row.get("value") is not None:
            rule = "must be a finite number, or None to take the outcome back"
            remedy = "Leave rows out whose outcome is not known yet: frame.dropna(subset=['value'])."
            raise InvalidRequestError(rule, value=row["value"], place=f"{place}.value", remedy=remedy)
        outcomes.append(plain | ({"id": plain_id(plain["id"])} if "id" in plain else {}))
    return outcomes


def plain_id(value: Any) -> Any:
    """Return an id; the whole numbers of a frame's column become text."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _rows_of(rows: Rows, place: str) -> Iterable[Mapping[str, Any]]:
    if hasattr(rows, "collect_schema") and hasattr(rows, "collect"):
        raise _no_rows(place, rows, "Collect it first: frame.collect().")
    if hasattr(rows, "to_dicts"):
        return list(rows.to_dicts())
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        return [_named(row) for row in rows.to_dict("records")]
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise _no_rows(place, rows, "")
    found = []
    for number, given in enumerate(rows):
        row = single_row(given)
        if row is None:
            raise InvalidRequestError("must be a row: a mapping of values by name", value=f"item {number}", place=place)
        found.append(row)
    return found


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _no_rows(place: str, rows: object, remedy: str) -> InvalidRequestError:
    rule = "must be rows: a list of mappings, or a pandas or Polars data frame"
    return InvalidRequestError(rule, value=type(rows).__name__, place=place, remedy=remedy)


def _plain(value: Any, place: str) -> Any:
    if type(value).__name__ == "NAType":  # pandas' NA: every comparison with it is NA again
        return None
    if getattr(value, "ndim", None) == 0:  # one of NumPy's numbers or instants
        # Of nanoseconds, NumPy's item() would be a bare number.
        value = (value.astype("datetime64[us]") if value.dtype.kind == "M" else value).item()
    if isinstance(value, float | Decimal | datetime) and value != value:  # noqa: PLR0124 - NaN, or pandas' NaT
        return None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not isfinite(value):
        raise InvalidRequestError("must be a finite number or None", value=value, place=place)
    if isinstance(value, datetime) and value.tzinfo is None:
        remedy = (
            "Say which: value.replace(tzinfo=UTC) if it is in UTC, else tzinfo=ZoneInfo('Europe/Paris'); "
            "of a column, dt.tz_localize('UTC') in pandas, dt.replace_time_zone('UTC') in Polars."
        )
        raise TimestampError("must be an instant with a time zone", value=value.isoformat(), place=place, remedy=remedy)
    if isinstance(value, datetime) and type(value) is not datetime:  # pandas' Timestamp, which JSON does not know
        parts = value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond
        return datetime(*parts, tzinfo=value.tzinfo, fold=value.fold)
    return value
