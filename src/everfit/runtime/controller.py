"""Leadership and timing of the loop: decides when a round is due; what a round does is given to it.

One controller leads at a time; another one stands by until it is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from everfit.core.event_log import log_event

if TYPE_CHECKING:
    from everfit.store.leadership import Leadership

_POLL_S = 0.05
_STANDBY_S = 1.0
_AT_MOST_S = 60.0
"""A round is due after this long even without a sign: time itself is a cause."""
_SHARE = 0.1
"""Share of one processor that rounds may take."""

_log = logging.getLogger(__name__)


class RoundMaker(Protocol):
    """The work of the leading controller."""

    def begin(self) -> None:
        """Open what rounds need; called once, when this process leads."""

    def signs(self) -> tuple[object, ...] | None:
        """Return a value that differs whenever a round may find something new; ``None`` before time begins. Fast."""

    def wants_round(self) -> bool:
        """Return true if a round is due at once, whatever the signs; until the next round."""

    def round(self) -> None:
        """Make one round; it does not raise."""


class Controller:
    """The controller of one project's loop.

    Args:
        pause_s: Shortest time from the end of one round to the next.
        in_replay: Make a round whenever the replay's clock rests, and none while it runs.
    """

    def __init__(self, leadership: Leadership, rounds: RoundMaker, *, pause_s: float, in_replay: bool = False) -> None:
        self._leadership = leadership
        self._rounds = rounds
        self._pause_s = pause_s
        self._in_replay = in_replay
        self._stopping = False
        """Not an event: a signal handler that sets one would deadlock if it interrupted a thread that waits for it."""

    def stop(self) -> None:
        """End :meth:`run`; may be called from a signal handler."""
        self._stopping = True

    def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Stand by until no other controller leads, then lead until stopped; call ``ready`` once it does either.

        Workflows that are under way at the end go on when a controller next leads. Raises :class:`LoopError` if the
        loop's database cannot be used.
        """
        standing_by = not self._leadership.win()
        if standing_by:
            log_event(_log, "controller_stands_by", "another controller leads; this one stands by")
            ready()
        while not self._leadership.win():
            if self._stopping:
                return
            time.sleep(_STANDBY_S)
        self._rounds.begin()
        log_event(_log, "controller_leads", "this controller leads")
        if not standing_by:
            ready()
        self._lead()

    def _lead(self) -> None:
        seen: tuple[object, ...] | None = None
        done: tuple[object, ...] | None = None
        ended_s, next_s, took_s = -_AT_MOST_S, 0.0, 0.0
        while not self._stopping:
            time.sleep(_POLL_S)
            if not self._leadership.holds():
                message = "another controller leads now; this one ends"
                log_event(_log, "leadership_lost", message, level=logging.ERROR)
                return
            signs, now_s = self._rounds.signs(), time.monotonic()
            if signs is None:
                continue
            # In a replay time runs fast: what is requested meanwhile is processed when it rests.
            ready = signs == seen if self._in_replay else now_s >= next_s
            seen = signs
            if (ready and signs != done) or now_s - ended_s >= _AT_MOST_S or self._rounds.wants_round():
                self._rounds.round()
                done, ended_s = signs, time.monotonic()
                # What a round costs once, such as loading a library, must not put off the next.
                before_s, took_s = took_s, ended_s - now_s
                next_s = ended_s + max(self._pause_s, min(before_s, took_s) / _SHARE)
        log_event(_log, "controller_stopped", "this controller ends; what is under way goes on when one next leads")
