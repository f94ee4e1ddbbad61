"""Launcher of a process that runs in the active release, and the way back from a release in which it cannot start."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from msgspec.structs import replace

from everfit.core.errors import StoreError
from everfit.core.event_log import log_event
from everfit.runtime.launcher import Launcher, release_launcher
from everfit.store.active_release import ActiveRelease, active_release, change_active, read_active

_MOST_FAILURES = 3
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that say nothing about the code that was starting."""

_log = logging.getLogger(__name__)


class ActiveLauncher:
    """Launcher that follows the active release; a new release in which its process never started is given back."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._state = state
        self._last: Launcher | None = None
        self._number = 0
        """The release of the last start."""
        self._failures = 0
        """Failed starts in that release."""

    def launcher(self) -> Launcher:
        """Return the launcher of the next start; that of the last one if the documents cannot be read now.

        Raises :class:`StoreError` if there was none.
        """
        try:
            release = active_release(self._state)
        except StoreError as error:
            if self._last is None:
                raise
            _log.error("the controller starts in the release of before: %s", error)
            return self._last
        number = release.number if release else 0
        if number != self._number:
            self._number, self._failures = number, 0
        self._last = release_launcher(self._root, self._state, release)
        return self._last

    def started(self) -> None:
        """Record that the process is ready in its release, which is not given back from now on."""

        def prove(active: ActiveRelease) -> ActiveRelease:
            return replace(active, is_proven=True) if active.number == self._number else active

        try:
            change_active(self._state, prove)
        except StoreError as error:
            _log.error("it could not be recorded that the controller started: %s", error)

    def failed(self, code: int) -> bool:
        """Return true if another start may succeed after one that ended with a code before the process was ready.

        A new release is given back after the third failure: the one before it is active again.
        """
        try:
            return self._failed(code)
        except StoreError as error:
            _log.error("the release could not be given back: %s", error)
            return code < 0

    def _failed(self, code: int) -> bool:
        active = read_active(self._state)
        if active.number != self._number or -code in _FROM_OUTSIDE:
            return True
        if active.is_proven or not active.number:
            return code < 0
        self._failures += 1
        if self._failures < _MOST_FAILURES:
            return True
        reason = f"The controller could not start in its code: it ended with {code}, {_MOST_FAILURES} times."

        def give_back(present: ActiveRelease) -> ActiveRelease:
            if present.number != self._number:
                return present
            return ActiveRelease(number=present.previous, is_proven=True, given_back=present.number, reason=reason)

        back = change_active(self._state, give_back)
        message = f"release {self._number} is given back, release {back.number} is active again: {reason}"
        log_event(_log, "controller_returned", message, level=logging.ERROR, release=self._number, previous=back.number)
        return True
