"""What a decision to retrain rests on."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from everfit.core.finding import Incident


class Champion(Struct, frozen=True, kw_only=True):
    """The version that answers now."""

    version: int
    as_of: datetime
    """When it was trained: it used nothing that became known later."""
    trained_until: datetime
    """It learnt from events before this."""
    code: str
    """Digest of the code that trained it."""


class Foreseen(Struct, frozen=True, kw_only=True):
    """How the champion's latest answers are expected to turn out, by an estimate that needs no outcomes."""

    metric: str
    worse_by: float
    """Than on its hold-out, in the metric's unit; positive means worse."""
    at_least: float
    """The end of the estimate's interval that is kinder to the champion."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a model when it is asked whether to retrain."""

    model: str
    champion: Champion | None
    code: str
    """Digest of the project's code as it is now."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open, as the latest look left them."""
    foreseen: Foreseen | None = None
    labels_since: int = 0
    """Mature labels of events since the champion's ``trained_until``."""
    rows_since: int = 0
    """Labelled rows that became known since the champion's ``as_of``."""
    labels: int | None = None
    """All labels that the events' source has; counted only while no version is deployed, ``None`` if it cannot be."""
