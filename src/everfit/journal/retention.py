"""Retention of the lake: instants before which each log's rows are deleted."""

from __future__ import annotations

from datetime import datetime

from everfit.core.duration import parse_duration
from everfit.core.settings import LakeSettings
from everfit.journal.logs import LOGS, PUSH_LOG


def kept_since(settings: LakeSettings, now: datetime) -> dict[str, datetime]:
    """Return by log the instant before which rows that were recorded are deleted; a log that is kept for ever has none.

    >>> from datetime import UTC
    >>> kept_since(LakeSettings(keep_features="10d"), datetime(2026, 1, 11, tzinfo=UTC))
    {'pushes': datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)}
    """
    kept = {log.name: settings.keep_features if log is PUSH_LOG else settings.keep for log in LOGS}
    return {name: now - parse_duration(text) for name, text in kept.items() if text}
