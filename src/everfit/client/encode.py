"""From Python's values to those that the service takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from everfit.core.errors import InvalidRequestError, TimestampError

_PLAIN = frozenset((str, int, bool, type(None)))


def encode(body: Mapping[str, Any]) -> bytes:
    """A request's body.

    Raises:
        InvalidRequestError: If it holds what JSON cannot say.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as problem:
        raise InvalidRequestError(f"must be text, numbers, booleans, instants and dates: {problem}") from problem


def plain_row(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A row as the service takes it; NaN, which frames have for a missing number, is null.

    Raises:
        TimestampError: If an instant has no time zone.
        InvalidRequestError: If a number is infinite.
    """
    return {name: value if type(value) in _PLAIN else _plain(value, f"{place}.{name}") for name, value in row.items()}


def plain_outcome(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """An outcome as the service takes it. Here NaN is refused, since null takes an outcome back.

    Raises:
        TimestampError: If an instant has no time zone.
        InvalidRequestError: If a value is NaN or infinite.
    """
    plain = plain_row(row, place)
    if plain.get("value") is None and row.get("value") is not None:
        rule = "must be a finite number, or None to take the outcome back"
        raise InvalidRequestError(rule, value=row["value"], place=f"{place}.value")
    return plain


def plain_rows(rows: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows of :func:`plain_row`, whose places are ``name[0]``, ``name[1]``, ….

    Raises:
        TimestampError: As :func:`plain_row`.
        InvalidRequestError: As :func:`plain_row`.
    """
    return [plain_row(row, f"{name}[{number}]") for number, row in enumerate(rows)]


def _plain(value: Any, place: str) -> Any:
    if getattr(value, "ndim", None) == 0:  # one of NumPy's numbers
        value = value.item()
    if isinstance(value, float | Decimal | datetime) and value != value:  # noqa: PLR0124 - NaN, or pandas' NaT
        return None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not isfinite(value):
        raise InvalidRequestError("must be a finite number or None", value=value, place=place)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise TimestampError(
            "must be an instant with a time zone", value=value.isoformat(), place=place,
            remedy="Say which: value.replace(tzinfo=UTC) if it is in UTC, else tzinfo=ZoneInfo('Europe/Paris').",
        )  # fmt: skip
    return value
