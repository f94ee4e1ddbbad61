"""Group commit: one sync to the disk for all waiting writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from everfit.core.errors import StoreError

Waiter = Callable[[StoreError | None], None]


class GroupCommit:
    """Thread that syncs as soon as the last sync has ended; waiting to gather more writes only costs time.

    Args:
        sync: Puts everything written so far on the disk; may raise :class:`StoreError`.
        settle: Called in the thread with the waiters whose writes are on the disk now, or with the error.
        idle: Called every ``interval_s``, after a sync.
        interval_s: Longest time between two syncs, in seconds.
    """

    def __init__(
        self,
        sync: Callable[[], None],
        settle: Callable[[Sequence[Waiter], StoreError | None], None],
        *,
        idle: Callable[[], None],
        interval_s: float = 0.1,
    ) -> None:
        self._sync = sync
        self._settle = settle
        self._idle = idle
        self._interval_s = interval_s
        self._waiting: list[Waiter] = []
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def wait(self, waiter: Waiter) -> None:
        """Settle a waiter once everything written so far is on the disk."""
        with self._wake:
            self._waiting.append(waiter)
            if len(self._waiting) == 1:
                self._wake.notify()

    def close(self) -> None:
        """Sync, settle all waiters, and end the thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        rested = time.monotonic()
        while True:
            with self._wake:
                if not self._waiting and not self._stopped:
                    self._wake.wait(self._interval_s)
                waiting, self._waiting = self._waiting, []
                stopped = self._stopped
            error = None
            try:
                self._sync()
                if stopped or time.monotonic() - rested >= self._interval_s:
                    rested = time.monotonic()
                    self._idle()
            except StoreError as problem:
                error = problem
            if waiting:
                self._settle(waiting, error)
            if stopped:
                return
