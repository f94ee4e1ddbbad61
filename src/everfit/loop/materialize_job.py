"""The online store follows the sources while the loop runs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from everfit.core.progress import SILENT, Progress
from everfit.loop.health import why

if TYPE_CHECKING:
    from everfit.features.materialize import MaterializedView
    from everfit.system import System

_SHARE = 0.1
"""Of one processor, that it may take."""

_log = logging.getLogger(__name__)


class OnlineRefresh:
    """Brings the online store up to date now and then.

    Args:
        system: The parts.
        every_s: Seconds from the end of one time to the next, at the least; 0 for never.
    """

    def __init__(self, system: System, every_s: float) -> None:
        self._system = system
        self._every_s = every_s
        self._next_s = 0.0 if every_s and system.project.views else math.inf

    def refresh_if_due(self) -> str:
        """Bring it up to date if it is time; a sentence if that failed, and until it goes well."""
        began_s = time.monotonic()
        if began_s < self._next_s:
            return ""
        try:
            materialize(self._system)
        except Exception as error:  # noqa: BLE001 - whatever a source's library raises, the round goes on
            # Not put off: what is wrong stays said until it is mended.
            _log.error("the online store could not be brought up to date: %s", why(error))
            return f"The online store could not be brought up to date: {why(error)}"
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
    """Bring the online store up to date.

    Args:
        system: The parts.
        views: Names of feature views; all of them by default.
        until: Nothing known later is written; now by default.
        full: Write everything again, not only what is new.
        progress: Hears how far it is.
    """
    from everfit.features.materialize import materialize as run

    chosen = [system.project.view(name) for name in views or system.project.views]
    return run(chosen, system.reader, system.online, until=until or system.clock.now(), full=full, progress=progress)
