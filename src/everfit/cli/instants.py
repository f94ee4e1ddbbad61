"""Instants as text in options of commands."""

from __future__ import annotations

from datetime import UTC, datetime

from everfit.core.clock import SystemClock
from everfit.core.errors import SettingsError

NOW = "now"


def read_moment(text: str | None, *, name: str) -> datetime | None:
    """Return an instant as :func:`read_instant`, but ``None`` for ``now``.

    Raises:
        SettingsError: As :func:`read_instant`.
    """
    return None if text is None or text.strip().lower() == NOW else read_instant(text, name=name)


def read_instant(text: str | None, *, name: str) -> datetime | None:
    """Return the instant of an ISO date or instant, or of ``now``; a date is its midnight in UTC.

    Raises:
        SettingsError: If it is neither, or an instant without a zone.
    """
    if text is None:
        return None
    if text.strip().lower() == NOW:
        return SystemClock().now()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{name} must be now, or an ISO date or instant such as 2026-03-01T12:00Z", value=text
        ) from error
    if instant.tzinfo is None:
        if len(text) > len("2026-03-01"):
            raise SettingsError(f"{name} must have a time zone", value=text, remedy=f"Write {text}Z for UTC.")
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)
