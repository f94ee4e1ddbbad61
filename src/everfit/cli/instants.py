"""Instants as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

from everfit.core.errors import SettingsError


def read_instant(text: str | None, *, name: str) -> datetime | None:
    """Read an ISO date or instant; a date is its midnight in UTC.

    Raises:
        SettingsError: If it is neither, or an instant without a zone.
    """
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{name} must be an ISO date or instant such as 2026-03-01T12:00Z", value=text) from error
    if instant.tzinfo is None:
        if len(text) > len("2026-03-01"):
            raise SettingsError(f"{name} must say its time zone", value=text, remedy=f"Write {text}Z for UTC.")
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)
