"""Conversion of Python's values to those of the service's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from everfit.client.frames import Rows, rows_of
from everfit.core.errors import InvalidRequestError, TimestampError

_PLAIN = frozenset((str, int, bool, type(None)))


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a request's body.

    Raises:
        InvalidRequestError: If a value has no form in JSON.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as problem:
        raise InvalidRequestError(f"must be text, numbers, booleans, instants and dates: {problem}") from problem


def plain_row(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return a row as JSON values; NaN, which frames have for a missing number, is null.

    Raises:
        TimestampError: If an instant has no time zone.
        InvalidRequestError: If a number is infinite.
    """
    return {name: value if type(value) in _PLAIN else _plain(value, f"{place}.{name}") for name, value in row.items()}


def plain_outcome(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return an outcome as JSON values; NaN is an error, since null takes an outcome back.

    Raises:
        TimestampError: If an instant has no time zone.
        InvalidRequestError: If a value is NaN or infinite.
    """
    plain = plain_row(row, place)
    if plain.get("value") is None and row.get("value") is not None:
        rule = "must be a finite number, or None to take the outcome back"
        remedy = "Leave rows out whose outcome is not known yet: frame.dropna(subset=['value'])."
        raise InvalidRequestError(rule, value=row["value"], place=f"{place}.value", remedy=remedy)
    if "id" in plain:
        plain["id"] = plain_id(plain["id"])
    return plain


def plain_id(value: Any) -> Any:
    """Return an id; the whole numbers of a frame's column become text."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def plain_rows(rows: Rows, name: str) -> list[dict[str, Any]]:
    """Return rows of :func:`plain_row`, whose places are ``name[0]``, ``name[1]``, ….

    Raises:
        TimestampError: As :func:`plain_row`.
        InvalidRequestError: As :func:`plain_row`.
    """
    return [plain_row(row, f"{name}[{number}]") for number, row in enumerate(rows_of(rows, name))]


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
