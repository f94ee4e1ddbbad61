"""Regular materialization of the online store while the loop runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime

from everfit.core.progress import SILENT, Progress
from everfit.features.materialize import MaterializedView
from everfit.loop.health import describe
from everfit.loop.online_generations import (
    VersionViews,
    deployed_versions,
    materialize_active,
    materialize_in_release,
    needed_versions,
    not_needed,
    of_other_definitions,
)
from everfit.system import System

_SHARE = 0.1
"""Share of one processor that it may take."""
_IDLE_S = 600.0
"""A generation is dropped once nothing needed it, and nothing wrote it, for so long: a version may be on its way."""

_log = logging.getLogger(__name__)


class OnlineRefresh:
    """Materialization at an interval: ``every_s`` is the shortest time between two runs in seconds, or 0 for never.

    What the code of this process defines is brought up to date at once; what only other versions read, in a thread that
    starts processes in their releases; what nothing needs any more is dropped.
    """

    def __init__(self, system: System, every_s: float) -> None:
        self._system = system
        self._own, self._others = _Pace(every_s), _Pace(every_s)
        self._thread: threading.Thread | None = None
        self._problem = ""
        """Of the other versions' generations."""
        self._idle_since: dict[tuple[int, int | None], float] = {}
        """Time since which a generation, by number and watermark, was not needed."""

    def refresh_if_due(self) -> str:
        """Materialize if it is due; return a sentence if that failed, until it succeeds."""
        return " ".join(filter(None, (self._refresh_own(), self._refresh_others())))

    def wait(self) -> None:
        """Wait until the other versions' generations are up to date, if they are being written."""
        if self._thread is not None:
            self._thread.join()

    def _refresh_own(self) -> str:
        if not self._system.project.views or not self._own.is_due():
            return ""
        began_s = time.monotonic()
        try:
            materialize_active(self._system)
        except Exception as error:  # noqa: BLE001 - whatever a source's library raises, the round goes on
            # Not put off: the sentence must stand until it is mended.
            _log.error("the online store could not be brought up to date: %s", describe(error))
            return f"The online store could not be brought up to date: {describe(error)}"
        self._own.ran(began_s)
        return ""

    def _refresh_others(self) -> str:
        if self._others.is_due() and (self._thread is None or not self._thread.is_alive()):
            began_s = time.monotonic()
            try:
                versions = needed_versions(self._system)
                self._drop_idle(versions, began_s)
            except Exception as error:  # noqa: BLE001 - whatever a database raises, the round goes on
                self._problem = f"The features that the versions in use read are not known: {describe(error)}"
                _log.error("%s", self._problem)
                self._others.ran(began_s)
                return self._problem
            if due := of_other_definitions(versions, self._system.project.views):
                self._thread = threading.Thread(target=self._catch_up, args=(due, began_s), daemon=True)
                self._thread.start()
            else:
                self._problem = ""
                self._others.ran(began_s)
        return self._problem

    def _catch_up(self, due: Sequence[tuple[VersionViews, Sequence[str]]], began_s: float) -> None:
        problems = []
        for version, views in due:
            try:
                materialize_in_release(self._system, version, views)
            except Exception as error:  # noqa: BLE001 - a thread's exception would be lost
                name = f"{version.model} version {version.version}"
                _log.error("the features that %s reads could not be brought up to date: %s", name, describe(error))
                problems.append(f"The features that {name} reads could not be brought up to date: {describe(error)}")
        self._problem = " ".join(problems)
        self._others.ran(began_s)

    def _drop_idle(self, versions: Sequence[VersionViews], now_s: float) -> None:
        """Drop the generations that nothing needed for a while."""
        online, active = self._system.online, self._system.project.views
        present = {(found.number, found.watermark_us): found for found in online.generations()}
        idle = not_needed(present.values(), versions, active)
        self._idle_since = {
            key: self._idle_since.get(key, now_s) for key, generation in present.items() if generation in idle
        }
        for key, since_s in self._idle_since.items():
            generation = present[key]
            if now_s - since_s >= _IDLE_S and online.drop(generation.view, generation.definition):
                _log.info("rows of %s by a definition that nothing needs were dropped", generation.view)


class _Pace:
    """Time of the next run: after an interval in seconds, 0 for never, and in a share of the time at most."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_s = 0.0 if every_s else float("inf")

    def is_due(self) -> bool:
        """Return true if the next run may begin."""
        return time.monotonic() >= self._next_s

    def ran(self, began_s: float) -> None:
        """Set the time of the next run after one that has ended now."""
        ended_s = time.monotonic()
        self._next_s = ended_s + max(self._every_s, (ended_s - began_s) / _SHARE)


def materialize(
    system: System,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring feature views, by default all, up to date in the online store, with what is known at ``until`` or now.

    First as the code of this process defines them, then as deployed versions of other definitions have them. With
    ``full``, everything is written again, not only what is new.
    """
    until = until or system.clock.now()
    done = materialize_active(system, views, until=until, full=full, progress=progress)
    for version, names in of_other_definitions(deployed_versions(system), system.project.views):
        chosen = [name for name in names if views is None or name in views]
        if chosen:
            done += materialize_in_release(system, version, chosen, until=until, full=full, progress=progress)
    return done
