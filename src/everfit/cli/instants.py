"""Instants as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

from everfit.core.clock import SystemClock
from everfit.core.errors import SettingsError

NOW = "now"


def read_moment(text: str | None, *, name: str) -> datetime | None:
    """Read an instant whose default is the present: ``now`` and nothing are ``None``.

    Raises:
        SettingsError: As :func:`read_instant`.
    """
    return None if text is None or text.strip().lower() == NOW else read_instant(text, name=name)


def read_instant(text: str | None, *, name: str) -> datetime | None:
    """Read an ISO date or instant, or ``now``; a date is its midnight in UTC.

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
            raise SettingsError(f"{name} must say its time zone", value=text, remedy=f"Write {text}Z for UTC.")
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)
