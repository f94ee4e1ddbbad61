"""Regular materialization of the online store while the loop runs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime

from everfit.core.progress import SILENT, Progress
from everfit.features.materialize import MaterializedView
from everfit.features.materialize import materialize as run
from everfit.loop.health import describe
from everfit.system import System

_SHARE = 0.1
"""Share of one processor that it may take."""

_log = logging.getLogger(__name__)


class OnlineRefresh:
    """Materialization at an interval: ``every_s`` is the shortest time between two runs in seconds, or 0 for never."""

    def __init__(self, system: System, every_s: float) -> None:
        self._system = system
        self._every_s = every_s
        self._next_s = 0.0 if every_s and system.project.views else math.inf

    def refresh_if_due(self) -> str:
        """Materialize if it is due; return a sentence if that failed, until it succeeds."""
        began_s = time.monotonic()
        if began_s < self._next_s:
            return ""
        try:
            materialize(self._system)
        except Exception as error:  # noqa: BLE001 - whatever a source's library raises, the round goes on
            # Not put off: the sentence must stand until it is mended.
            _log.error("the online store could not be brought up to date: %s", describe(error))
            return f"The online store could not be brought up to date: {describe(error)}"
        ended_s = time.monotonic()
        self._next_s = ended_s + max(self._every_s, (ended_s - began_s) / _SHARE)
        return ""


def materialize(
    system: System,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring feature views, by default all, up to date in the online store, with what is known at ``until`` or now.

    With ``full``, everything is written again, not only what is new.
    """
    chosen = [system.project.view(name) for name in views or system.project.views]
    return run(chosen, system.reader, system.online, until=until or system.clock.now(), full=full, progress=progress)
