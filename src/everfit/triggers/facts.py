"""Facts that a decision to retrain is made by."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from everfit.core.finding import EstimatedDrop, Incident


class Champion(Struct, frozen=True, kw_only=True):
    """The version in production."""

    version: int
    as_of: datetime
    """Of its training frame: nothing that became known later was used."""
    trained_until: datetime
    """It was trained on events before this."""
    code: str
    """Digest of the code that trained it."""


class Facts(Struct, frozen=True, kw_only=True):
    """State of a model when its policy is evaluated."""

    model: str
    champion: Champion | None
    code: str
    """Digest of the project's code as it is now."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open after the latest evaluation."""
    estimated_drop: EstimatedDrop | None = None
    labels_since: int = 0
    """Known labels, in the events' source, of events from the champion's ``trained_until`` on."""
    rows_since: int = 0
    """Labels in the events' source that became known after the champion's ``as_of``, whatever their events' times."""
    labels: int | None = None
    """All labels that the events' source has; counted only while no version is deployed, ``None`` if it cannot be."""
