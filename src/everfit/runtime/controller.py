"""Leadership and timing of the loop: decides when a round is due; what a round does is given to it.

One controller leads at a time; another one stands by until it is gone.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from everfit.core.event_log import log_event

if TYPE_CHECKING:
    from everfit.store.leadership import Leadership

_POLL_S = 0.05
_REPLAY_POLL_S = 0.005
"""Time between two reads of a replay's clock: each day of a replay waits once for half of it, and for a round."""
_STALLED_S = 1.0
"""A replay that announced where it waits next, and does not get there, is taken for halted after this long."""
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

    def end(self) -> None:
        """End what :meth:`begin` started to watch; called once, when this process leads no more."""

    def signs(self) -> tuple[object, ...] | None:
        """Return a value that differs whenever a round may find something new; ``None`` before time begins. Fast."""

    def is_awaited(self) -> bool | None:
        """Return true if a replay waits for a round now, false if it announced a later instant; else ``None``. Fast."""

    def wants_round(self) -> bool:
        """Return true if a round is due at once, whatever the signs; until the next round."""

    def round(self) -> None:
        """Make one round; it does not raise."""

    def makes_way(self) -> bool:
        """Return true if this process must end for one in another release of the code."""


class Controller:
    """The controller of one project's loop.

    Args:
        pause_s: Shortest time from the end of one round to the next.
        in_replay: Make a round at once where the replay waits for one; else whenever its clock rests, and none while
            it runs.
    """

    def __init__(
        self,
        leadership: Leadership,
        rounds: RoundMaker,
        *,
        pause_s: float,
        in_replay: bool = False,
        during: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._leadership = leadership
        self._rounds = rounds
        self._pause_s = pause_s
        self._in_replay = in_replay
        self._during = during
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
        if self._rounds.makes_way():
            return
        self._rounds.begin()
        log_event(_log, "controller_leads", "this controller leads")
        if not standing_by:
            ready()
        try:
            self._lead()
        finally:
            self._rounds.end()

    def _lead(self) -> None:
        seen: tuple[object, ...] | None = None
        done: tuple[object, ...] | None = None
        ended_s, next_s, took_s, changed_s = -_AT_MOST_S, 0.0, 0.0, 0.0
        while not self._stopping:
            self._wait()
            if not self._leadership.holds():
                message = "another controller leads now; this one ends"
                log_event(_log, "leadership_lost", message, level=logging.ERROR)
                return
            signs, now_s = self._rounds.signs(), time.monotonic()
            if signs is None:
                continue
            awaited = self._in_replay and self._rounds.is_awaited()
            changed_s = changed_s if signs == seen else now_s
            # In a replay time runs fast: what is requested meanwhile is processed when it rests.
            rests = signs == seen and (awaited is None or now_s - changed_s >= _STALLED_S)
            ready = awaited or rests if self._in_replay else now_s >= next_s
            seen = signs
            # An awaited round that failed is made again, but not without a pause.
            due = (ready and signs != done) or (awaited and now_s >= next_s) or now_s - ended_s >= _AT_MOST_S
            if due or self._rounds.wants_round():
                with self._during():
                    self._rounds.round()
                if done is None:
                    # The first round loaded the libraries: to visit their objects again takes .1 s and frees nothing.
                    gc.collect()
                    gc.freeze()
                done, ended_s = signs, time.monotonic()
                # What a round costs once, such as loading a library, must not put off the next.
                before_s, took_s = took_s, ended_s - now_s
                next_s = ended_s + max(self._pause_s, min(before_s, took_s) / _SHARE)
                if self._rounds.makes_way():
                    return
        log_event(_log, "controller_stopped", "this controller ends; what is under way goes on when one next leads")

    def _wait(self) -> None:
        """Wait until the signs are to be read again: in a replay, also as soon as it waits for a round."""
        if not self._in_replay:
            time.sleep(_POLL_S)
            return
        until_s = time.monotonic() + _POLL_S
        while time.monotonic() < until_s:
            time.sleep(_REPLAY_POLL_S)
            if self._rounds.is_awaited() or self._rounds.wants_round():
                return
